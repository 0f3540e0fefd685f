package inbox_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/journal/inbox"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

var at = time.Date(2026, 11, 23, 1, 34, 5, 0, time.UTC)

func bodies(t *testing.T, s *memstore.Store, run string) []string {
	t.Helper()
	msgs, err := inbox.Take(t.Context(), s, run)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range msgs {
		if m.Damage != nil {
			out = append(out, "damaged: "+m.Damage.What)
			continue
		}
		out = append(out, string(m.Body))
	}
	return out
}

func post(t *testing.T, s *memstore.Store, run string, at time.Time, body string) string {
	t.Helper()
	id, err := inbox.Post(t.Context(), s, run, at, json.RawMessage(body))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestMessagesWaitInOrderUntilAcknowledged(t *testing.T) {
	s := memstore.New()
	post(t, s, "r", at.Add(time.Second), `"late"`)
	early := post(t, s, "r", at, `"early"`)
	post(t, s, "r", time.Time{}, `"long ago"`)
	post(t, s, "other", at, `"to another run"`)
	for range 2 {
		if diff := cmp.Diff([]string{`"long ago"`, `"early"`, `"late"`}, bodies(t, s, "r")); diff != "" {
			t.Fatalf("inbox differs (-want +got):\n%s", diff)
		}
	}
	for range 2 {
		if err := inbox.Ack(t.Context(), s, "r", early); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{`"long ago"`, `"late"`}, bodies(t, s, "r")); diff != "" {
		t.Fatalf("inbox differs (-want +got):\n%s", diff)
	}
}

func TestMessagesOfTheSameMomentAreBothKept(t *testing.T) {
	s := memstore.New()
	if a, b := post(t, s, "r", at, `1`), post(t, s, "r", at, `2`); a == b {
		t.Fatalf("both messages have the ID %s", a)
	}
	if got := bodies(t, s, "r"); len(got) != 2 {
		t.Fatalf("inbox holds %v", got)
	}
}

func TestPostRefusesWhatCannotBeRead(t *testing.T) {
	s := memstore.New()
	for _, body := range []string{`{`, `"` + strings.Repeat("x", inbox.MaxBody) + `"`} {
		if _, err := inbox.Post(t.Context(), s, "r", at, json.RawMessage(body)); err == nil {
			t.Errorf("Post took %.20s", body)
		}
	}
}

func TestADamagedMessageDoesNotHideTheOthers(t *testing.T) {
	s := memstore.New()
	bad := post(t, s, "r", at, `"one"`)
	post(t, s, "r", at.Add(1), `"two"`)
	key := "runs/r/inbox/" + bad
	it, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range it.Value {
		s.Corrupt(key, func([]byte) []byte {
			b := bytes.Clone(it.Value)
			b[i] ^= 1
			return b
		})
		got := bodies(t, s, "r")
		if len(got) != 2 || !strings.HasPrefix(got[0], "damaged: ") || got[1] != `"two"` {
			t.Fatalf("with byte %d changed the inbox is %q", i, got)
		}
	}
	if err := inbox.Ack(t.Context(), s, "r", bad); err != nil {
		t.Fatal(err)
	}
	if got := bodies(t, s, "r"); len(got) != 1 {
		t.Fatalf("after Ack of the damaged message the inbox is %q", got)
	}
}

func TestAMessageUnderAnotherNameIsDamage(t *testing.T) {
	s := memstore.New()
	a, b := post(t, s, "r", at, `1`), post(t, s, "r", at, `2`)
	it, err := s.Get(t.Context(), "runs/r/inbox/"+a)
	if err != nil {
		t.Fatal(err)
	}
	s.Corrupt("runs/r/inbox/"+b, func([]byte) []byte { return it.Value })
	for _, m := range must(inbox.Take(t.Context(), s, "r")) {
		if (m.ID == b) != (m.Damage != nil) {
			t.Errorf("message %s: damage %v", m.ID, m.Damage)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestErrorsOfTheStoreComeThrough(t *testing.T) {
	away := errors.New("store is away")
	s := memstore.New()
	s.Before = func(memstore.Op) error { return away }
	_, postErr := inbox.Post(t.Context(), s, "r", at, json.RawMessage(`1`))
	_, takeErr := inbox.Take(t.Context(), s, "r")
	for what, err := range map[string]error{"Post": postErr, "Take": takeErr, "Ack": inbox.Ack(t.Context(), s, "r", "x")} {
		if !errors.Is(err, away) {
			t.Errorf("%s: error is %v, want %v", what, err, away)
		}
	}
}
