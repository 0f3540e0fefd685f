package logs_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

// The bytes of a chunk are changed, it is cut in many places, chunks change places and
// are missing: reading tells it where it can, and verifying always.
func TestEveryDamagedByteOfALogIsNoticed(t *testing.T) {
	s := memstore.New()
	var refs []logs.Ref
	for _, command := range []string{"1", "2"} {
		w := logs.NewWriter(s, "r", command)
		for range 3 { // three chunks of some 64 KiB
			w.Write(logs.Line{Time: time.Unix(0, 0), Message: strings.Repeat("x", 40<<10)})
			w.Write(logs.Line{Time: time.Unix(0, 0), Message: strings.Repeat("y", 40<<10)})
		}
		ref, err := w.Close(t.Context())
		if err != nil || ref.Chunks != 3 {
			t.Fatalf("%+v, %v", ref, err)
		}
		refs = append(refs, ref)
	}
	read := func() error {
		for _, err := range logs.Read(t.Context(), s, "r", "1") {
			if err != nil {
				return err
			}
		}
		return nil
	}
	keys := s.Keys("runs/r/logs/1/")
	tried := 0
	try := func(what, key string, value []byte, seenByReading bool) {
		t.Helper()
		tried++
		original, err := s.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		s.Corrupt(key, func([]byte) []byte { return value })
		for name, err := range map[string]error{"reading": read(), "verifying": logs.Verify(t.Context(), s, "r", "1", refs[0])} {
			var damage *journal.DamageError
			if errors.As(err, &damage) && damage.Run == "r" && strings.HasPrefix(damage.Key, "runs/r/logs/1/") {
				continue
			}
			if err != nil || name == "verifying" || seenByReading {
				t.Fatalf("%s: %s gives %v", what, name, err)
			}
		}
		if value == nil {
			if _, err := s.PutAbsent(t.Context(), key, original.Value); err != nil {
				t.Fatal(err)
			}
			return
		}
		s.Corrupt(key, func([]byte) []byte { return original.Value })
	}
	value := func(key string) []byte {
		it, err := s.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return it.Value
	}
	middle := value(keys[1])
	for i := 0; i < len(middle); i += 1 + i/100 { // the head in full, the packed lines in part
		b := bytes.Clone(middle)
		b[i] ^= 1
		try(fmt.Sprint("byte ", i), keys[1], b, true)
		if i%8 == 0 {
			try(fmt.Sprint("cut at ", i), keys[1], append([]byte{}, middle[:i]...), true)
		}
	}
	try("the next chunk in its place", keys[1], value(keys[2]), true)
	try("a chunk of another command", keys[1], value(s.Keys("runs/r/logs/2/")[1]), true)
	try("the first is missing", keys[0], nil, true)
	try("the middle is missing", keys[1], nil, true)
	try("the last is missing", keys[2], nil, false)
	if err := errors.Join(read(), logs.Verify(t.Context(), s, "r", "1", refs[0])); err != nil {
		t.Fatal(err)
	}
	figures.Record(t, "Damage", "log chunks: bytes flipped, cuts, swaps, gaps", "%d, all noticed", tried)
}
