package inbox_test

import (
	"encoding/json"
	"testing"

	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/journal/inbox"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

// FuzzTake reads messages that other hands posted, with and without the right hash.
func FuzzTake(f *testing.F) {
	f.Add([]byte(`{"format":1,"run":"r","id":"m","at":"2026-01-02T03:04:05Z","body":{"a":1}}`), true)
	f.Add([]byte(`{"format":2}`), true)
	f.Add([]byte(`{"format":1,"run":"r","id":"m","body":null}`), true)
	f.Add([]byte("\n"), false)
	f.Fuzz(func(t *testing.T, content []byte, framed bool) {
		value := content
		if framed {
			value = append(frame.New(len(content)), content...)
			frame.Close(value)
		}
		s := memstore.New()
		if _, err := s.PutAbsent(t.Context(), "runs/r/inbox/m", value); err != nil {
			t.Fatal(err)
		}
		got, err := inbox.Take(t.Context(), s, "r")
		if err != nil || len(got) != 1 || got[0].ID != "m" {
			t.Fatalf("%v, %v, want one message", got, err)
		}
		switch m := got[0]; {
		case m.Damage != nil && (m.Damage.What == "" || m.Body != nil):
			t.Fatalf("damage without a reason, or with a body: %+v", m)
		case m.Damage == nil && len(m.Body) > 0 && !json.Valid(m.Body):
			t.Fatalf("the body is not JSON: %q", m.Body)
		}
		if err := inbox.Ack(t.Context(), s, "r", "m"); err != nil {
			t.Fatal(err)
		}
	})
}
