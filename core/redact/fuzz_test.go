package redact_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/core/redact"
)

// FuzzRedact hides two secrets in any text, however it is split.
func FuzzRedact(f *testing.F) {
	f.Add("hunter2", "p\"ss\nword", `the hunter2 and "p\"ss\nword"`, uint8(3))
	f.Add("aaaa", "aaab", "aaaaab", uint8(1))
	f.Add("\xff\xfe\xfd\xfc", "äöüß", "\xff\xfe\xfd\xfcäöüß", uint8(2))
	f.Fuzz(func(t *testing.T, one, two, text string, size uint8) {
		r := redact.New()
		var known []string
		for _, secret := range []string{one, two} {
			if r.Add(secret) == nil && secret != "" {
				known = append(known, secret)
			}
		}
		text += one + text + two
		got := r.Redact(text)
		for _, secret := range known {
			// The mark is not of the secret, whatever it has in common with it.
			for rest := range strings.SplitSeq(got, redact.Mark) {
				if strings.Contains(rest, secret) {
					t.Fatalf("%q is left in %q", secret, got)
				}
			}
		}
		if b := r.Bytes([]byte(text)); !bytes.Equal(b, []byte(got)) {
			t.Fatalf("Bytes gives %q, Redact %q", b, got)
		}
		if streamed := stream(t, r, text, 1+int(size)); streamed != got {
			t.Fatalf("in pieces of %d: %q, want %q", 1+int(size), streamed, got)
		}
	})
}
