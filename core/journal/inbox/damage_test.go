package inbox_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/journal/inbox"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

// Every byte of a message is changed, and it is cut at every byte; two change places.
// The message is told as damaged, under its key, and the others are read.
func TestEveryDamagedByteOfAMessageIsNoticed(t *testing.T) {
	s := memstore.New()
	for i := range 2 {
		if _, err := inbox.Post(t.Context(), s, "r", time.Unix(int64(i), 0), json.RawMessage(`{"answer":{"yes":true}}`)); err != nil {
			t.Fatal(err)
		}
	}
	keys := s.Keys("runs/r/inbox/")
	original, err := s.Get(t.Context(), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	try := func(b []byte) {
		t.Helper()
		tried++
		s.Corrupt(keys[0], func([]byte) []byte { return b })
		got, err := inbox.Take(t.Context(), s, "r")
		if err != nil || len(got) != 2 || got[1].Damage != nil {
			t.Fatalf("Take: %v, %v", got, err)
		}
		if d := got[0].Damage; d == nil || d.Run != "r" || d.Key != keys[0] || got[0].Body != nil {
			t.Fatalf("the damaged message is %+v", got[0])
		}
	}
	for i := range original.Value {
		for _, flip := range []byte{1, 0x20, 0x80} {
			b := bytes.Clone(original.Value)
			b[i] ^= flip
			try(b)
		}
		try(append([]byte{}, original.Value[:i]...))
	}
	other, err := s.Get(t.Context(), keys[1])
	if err != nil {
		t.Fatal(err)
	}
	try(other.Value)
	figures.Record(t, "Damage", "messages to a run: bytes flipped, cuts, swaps", "%d, all noticed", tried)
}
