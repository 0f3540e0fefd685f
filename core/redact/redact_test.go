package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/runner-pipelines/runner/core/redact"
)

func redactor(t testing.TB, secrets ...string) *redact.Redactor {
	t.Helper()
	r := redact.New()
	for _, s := range secrets {
		if err := r.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// stream passes text through a Writer in pieces of at most size bytes.
func stream(t testing.TB, r *redact.Redactor, text string, size int) string {
	t.Helper()
	var out bytes.Buffer
	w := r.NewWriter(&out)
	for text != "" {
		n := min(size, len(text))
		if got, err := w.Write([]byte(text[:n])); got != n || err != nil {
			t.Fatalf("Write of %d bytes gives %d, %v", n, got, err)
		}
		text = text[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestRedact(t *testing.T) {
	for name, tc := range map[string]struct {
		secrets    []string
		text, want string
	}{
		"none known":                  {nil, "hunter2", "hunter2"},
		"none there":                  {[]string{"hunter2"}, "hunter 2 hunte hunter", "hunter 2 hunte hunter"},
		"alone":                       {[]string{"hunter2"}, "hunter2", "(sensitive)"},
		"inside a word":               {[]string{"hunter2"}, "xhunter2x", "x(sensitive)x"},
		"twice":                       {[]string{"hunter2"}, "hunter2 and hunter2", "(sensitive) and (sensitive)"},
		"twice without a gap":         {[]string{"hunter2"}, "hunter2hunter2", "(sensitive)(sensitive)"},
		"two without a gap":           {[]string{"abcd", "efgh"}, "abcdefgh", "(sensitive)(sensitive)"},
		"the longer of two":           {[]string{"hunter", "hunter2"}, "hunter2", "(sensitive)"},
		"one inside the other":        {[]string{"unte", "hunter2"}, "hunter2 untended", "(sensitive) (sensitive)nded"},
		"the ends overlap":            {[]string{"abcdef", "defghi"}, "-abcdefghi-", "-(sensitive)-"},
		"begins like another":         {[]string{"aaab", "aabb"}, "aaabb", "(sensitive)"},
		"a false start":               {[]string{"aaab"}, "aaaaaaab", "aaaa(sensitive)"},
		"a long one over short ones":  {[]string{"abcd", "wxyz", "cd 1 wxyz 2 end"}, "abcd 1 wxyz 2 end", "(sensitive)"},
		"nearly a long one":           {[]string{"abcd", "wxyz", "cd 1 wxyz 2 end"}, "abcd 1 wxyz 2 enx", "(sensitive) 1 (sensitive) 2 enx"},
		"characters beyond ASCII":     {[]string{"pässwörd"}, "pässwörd passwörd", "(sensitive) passwörd"},
		"with quotes":                 {[]string{`a"b\c'd`}, `a"b\c'd`, "(sensitive)"},
		"four characters":             {[]string{"1234"}, "123 12345", "123 (sensitive)5"},
		"surrounded by space":         {[]string{" hunter2\n"}, "pass=hunter2", "pass=(sensitive)"},
		"line by line":                {[]string{"first line\nabc\nthird line\r\n"}, "x third line abc first line", "x (sensitive) abc (sensitive)"},
		"lines with other line ends":  {[]string{"ab1\ncd2"}, "ab1\r\ncd2 ab1\ncd2", "(sensitive) (sensitive)"},
		"the mark itself":             {[]string{"sensitive"}, "not sensitive", "not (sensitive)"},
		"bytes that are no text":      {[]string{"\xff\xfe\xfd\x00"}, "a\xff\xfe\xfd\x00b", "a(sensitive)b"},
		"a secret of spaces":          {[]string{"    "}, "a    b", "a(sensitive)b"},
		"the empty one":               {[]string{""}, "text", "text"},
		"a field of a JSON secret":    {[]string{`{"user":"ada","password":"hunter2hunter2"}`}, "login of ada with hunter2hunter2", "login of ada with (sensitive)"},
		"the password of a URL":       {[]string{"postgres://ada:hunter2@db/shop"}, "password hunter2 of ada", "password (sensitive) of ada"},
		"inside basic authentication": {[]string{"correct horse battery"}, basic("ada", "correct horse battery"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := redactor(t, tc.secrets...)
			if tc.want == "" { // the neighbours of the secret stay: look for its base64 only
				if got := r.Redact(tc.text); !strings.Contains(got, redact.Mark) || len(got) > len("(sensitive)")+16 {
					t.Fatalf("%q becomes %q", tc.text, got)
				}
				return
			}
			if diff := cmp.Diff(tc.want, r.Redact(tc.text)); diff != "" {
				t.Errorf("Redact differs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.want, string(r.Bytes([]byte(tc.text)))); diff != "" {
				t.Errorf("Bytes differs (-want +got):\n%s", diff)
			}
			for size := 1; size <= len(tc.text); size++ {
				if diff := cmp.Diff(tc.want, stream(t, r, tc.text, size)); diff != "" {
					t.Errorf("Writer in pieces of %d differs (-want +got):\n%s", size, diff)
				}
			}
		})
	}
}

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// What other programs make of a secret, and may print.
func TestEveryFormIsFound(t *testing.T) {
	marshal := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	shell := func(s string) string {
		return regexp.MustCompile(`([^a-zA-Z0-9@%_+=:,./\x{80}-\x{10ffff}-])`).ReplaceAllString(s, `\$1`)
	}
	forms := map[string]func(string) string{
		"raw":  func(s string) string { return s },
		"json": marshal,
		"json in json": func(s string) string {
			plain := func(s string) string {
				var b bytes.Buffer
				enc := json.NewEncoder(&b)
				enc.SetEscapeHTML(false)
				_ = enc.Encode(s)
				return strings.TrimSpace(b.String())
			}
			return plain(plain(s))
		},
		"python json": func(s string) string {
			return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "ö", `\u00f6`, "😀", `\ud83d\ude00`).Replace(s)
		},
		"php json":          func(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "/", `\/`).Replace(s) },
		"go %q":             strconv.Quote,
		"go %+q":            strconv.QuoteToASCII,
		"query":             url.QueryEscape,
		"path":              url.PathEscape,
		"query, percent 20": func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") },
		"query, small": func(s string) string {
			return regexp.MustCompile("%..").ReplaceAllStringFunc(url.QueryEscape(s), strings.ToLower)
		},
		"html":         html.EscapeString,
		"xml":          strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace,
		"shell \"":     func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` },
		"shell word":   shell,
		"go %d":        func(s string) string { return fmt.Sprintf("[%s]", strings.Trim(fmt.Sprint([]byte(s)), "[]")) },
		"go %#v":       func(s string) string { return fmt.Sprintf("%#v", []byte(s)) },
		"shell":        func(s string) string { return `'` + strings.ReplaceAll(s, `'`, `'\''`) + `'` },
		"base64":       func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64 raw":   func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
		"base64 url":   func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
		"base64 url r": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		"hex":          func(s string) string { return hex.EncodeToString([]byte(s)) },
		"HEX":          func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	}
	for _, secret := range []string{
		"hunter2", `p@ss/w+rd "quoted" \ 'single' <html>&`, "schlöss 😀 er", "a?b>c~d\xc3\xb6", "AKIA/EXAMPLE+KEY==",
	} {
		r := redactor(t, secret)
		for name, form := range forms {
			text := form(secret)
			got := r.Redact("before " + text + " after")
			rest := strings.TrimSuffix(strings.TrimPrefix(got, "before "), " after")
			rest = strings.TrimSuffix(strings.TrimPrefix(rest, "[]byte{"), "}")
			if strings.Trim(rest, `"'=[]\`) != redact.Mark {
				t.Errorf("%s of %q: %q is left as %q", name, secret, text, rest)
			}
		}
	}
}

// Where a text was cut off, half a secret may be left.
func TestTheBeginningOfASecretBeforeACutIsHidden(t *testing.T) {
	r := redactor(t, "hunter2-and-more", "another secret")
	for text, want := range map[string]string{
		"token hunter2-an… (9 bytes left out)":  "token (sensitive)… (9 bytes left out)",
		"token hunter2-an":                      "token hunter2-an",
		"hunt… and anot… and hu…":               "(sensitive)… and (sensitive)… and hu…",
		"hunter2-and-more… another secret, hun": "(sensitive)… (sensitive), hun",
		"…":                "…",
		"nothing to hide…": "nothing to hide…",
	} {
		if diff := cmp.Diff(want, r.Redact(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestShortSecretsAreRefused(t *testing.T) {
	for _, s := range []string{"a", "ab", "abc"} {
		r := redact.New()
		if err := r.Add(s); !errors.Is(err, redact.ErrShort) {
			t.Errorf("Add(%q): %v", s, err)
		}
		if got := r.Redact("abc"); got != "abc" {
			t.Errorf("the refused secret %q is redacted: %q", s, got)
		}
	}
}

func TestANilRedactorKnowsNothing(t *testing.T) {
	var r *redact.Redactor
	if got := r.Redact("text") + string(r.Bytes([]byte("text"))) + stream(t, r, "text", 2); got != "texttexttext" {
		t.Errorf("got %q", got)
	}
	if r.Add("hunter2") == nil {
		t.Error("a nil Redactor took a secret")
	}
}

func TestTextWithoutSecretsIsNotCopied(t *testing.T) {
	r := redactor(t, "hunter2")
	text := strings.Repeat("a perfectly ordinary line of log\n", 100)
	if n := testing.AllocsPerRun(20, func() { r.Redact(text) }); n != 0 {
		t.Errorf("Redact allocates %v times", n)
	}
}

func TestSecretsAddedWhileOthersRedact(t *testing.T) {
	r := redact.New()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				secret := fmt.Sprintf("secret-%d-%d", i, n)
				if err := r.Add(secret); err != nil {
					t.Error(err)
				}
				if got := r.Redact(secret); got != redact.Mark {
					t.Errorf("%q is left as %q", secret, got)
				}
			}
		})
	}
	wg.Wait()
}

func TestAWriterHoldsBackOnlyWhatMayBeASecret(t *testing.T) {
	r := redactor(t, "hunter2", "ter2-and-more")
	var out bytes.Buffer
	w := r.NewWriter(&out)
	for _, step := range []struct{ write, want string }{
		{"hello ", "hello "},
		{"hun", "hello "},
		{"ger", "hello hunger"},
		{" hunter2", "hello hunger "}, // may become the longer one
		{"-and", "hello hunger "},
		{"!", "hello hunger (sensitive)-and!"},
		{"h", "hello hunger (sensitive)-and!"},
	} {
		if _, err := w.Write([]byte(step.write)); err != nil {
			t.Fatal(err)
		}
		if out.String() != step.want {
			t.Fatalf("after %q the output is %q, want %q", step.write, out.String(), step.want)
		}
	}
	if err := w.Close(); err != nil || !strings.HasSuffix(out.String(), "!h") {
		t.Fatalf("after Close the output is %q, error %v", out.String(), err)
	}
}

// Over a small alphabet everything overlaps with everything.
func TestNothingOfASecretIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 4, 9, -1)
		secrets := rapid.SliceOfN(word, 1, 5).Draw(t, "secrets")
		text := strings.Join(rapid.SliceOfN(rapid.OneOf(word, rapid.SampledFrom(secrets), rapid.SampledFrom([]string{"-", "a", "b"})), 0, 12).Draw(t, "text"), "")
		r := redact.New()
		for _, s := range secrets {
			if err := r.Add(s); err != nil {
				t.Fatal(err)
			}
		}
		// The plain way: mark every byte that a secret covers.
		covered := make([]bool, len(text))
		for _, s := range secrets {
			for i := range len(text) - len(s) + 1 {
				if i >= 0 && text[i:i+len(s)] == s {
					for k := range s {
						covered[i+k] = true
					}
				}
			}
		}
		var want strings.Builder
		for i := range covered {
			switch {
			case !covered[i]:
				want.WriteByte(text[i])
			case i == 0 || !covered[i-1]:
				want.WriteString(redact.Mark)
			}
		}
		// Secrets that touch without overlapping have a mark each.
		once := func(s string) string { return strings.ReplaceAll(s, redact.Mark+redact.Mark, redact.Mark) }
		whole := r.Redact(text)
		if got := once(once(once(whole))); got != want.String() {
			t.Fatalf("Redact(%q) = %q, want %q", text, got, want.String())
		}
		var out bytes.Buffer
		w := r.NewWriter(&out)
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if out.String() != whole {
			t.Fatalf("Writer(%q) = %q, Redact gives %q", text, out.String(), whole)
		}
	})
}

func TestErrorsOfTheUnderlyingWriterComeThrough(t *testing.T) {
	gone := errors.New("gone")
	w := redactor(t, "hunter2").NewWriter(failing{gone})
	if _, err := w.Write([]byte("text")); !errors.Is(err, gone) {
		t.Errorf("Write: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func BenchmarkRedact(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	token := func(n int) string {
		raw := make([]byte, n)
		for i := range raw {
			raw[i] = byte(rnd.Uint32())
		}
		return base64.StdEncoding.EncodeToString(raw)
	}
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "2026-11-23T01:34:05Z INFO request %d served path=/api/v1/items/%s status=200 duration=%dms\n", i, token(6), i%50)
	}
	for _, secrets := range []int{0, 1, 300} {
		r := redact.New()
		for range secrets {
			if err := r.Add(token(24)); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("secrets=%d", secrets), func(b *testing.B) {
			b.SetBytes(int64(text.Len()))
			b.ReportAllocs()
			for b.Loop() {
				r.Redact(text.String())
			}
		})
	}
}

// BenchmarkFirstUse measures making 300 secrets known and the first redaction.
func BenchmarkFirstUse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		r := redact.New()
		for i := range 300 {
			if err := r.Add(fmt.Sprintf("secret number %d, not a short one: %x", i, i*7919)); err != nil {
				b.Fatal(err)
			}
		}
		r.Redact("x")
	}
}
