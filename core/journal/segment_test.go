package journal

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/internal/frame"
)

func framed(body string) []byte {
	b := append(frame.New(len(body)), body...)
	frame.Close(b)
	return b
}

func TestANewerFormatSaysSo(t *testing.T) {
	_, err := decode("r", Head{}, key("r", 1), framed(`{"format":2,"entries":{}}`))
	if !errors.Is(err, ErrNewer) {
		t.Fatalf("error is %v, want %v", err, ErrNewer)
	}
}

func TestASegmentIsReadable(t *testing.T) {
	at := time.Date(2026, 11, 23, 1, 34, 5, 0, time.FixedZone("", 3600))
	value, head := encode("run", "w", Head{Number: 6, Hash: "ab"}, at, []json.RawMessage{[]byte(`{"a":1}`), []byte(`2`)})
	body, hash, err := frame.Open(value)
	if err != nil || hash != head.Hash || head.Number != 7 {
		t.Fatalf("head %v, hash %s, error %v", head, hash, err)
	}
	const want = `{"format":1,"run":"run","segment":7,"time":"2026-11-23T00:34:05Z","writer":"w","previous":"ab","records":[{"a":1},2]}` + "\n"
	if string(body) != want {
		t.Fatalf("body is\n%swant\n%s", body, want)
	}
}

// The hash keeps a fuzzer out; this one gives it the right hash.
func FuzzDecodeSegment(f *testing.F) {
	value, _ := encode("r", "w", Head{}, time.Unix(0, 0), []json.RawMessage{[]byte(`{"a":[1,null]}`)})
	f.Add(string(value[frame.HashLen+1:]))
	f.Add(`{"format":1e3}`)
	f.Add(`{"format":1,"run":"r","segment":-1}`)
	f.Fuzz(func(t *testing.T, body string) {
		seg, err := decode("r", Head{}, key("r", 1), framed(body))
		if err != nil {
			return
		}
		again, head := encode("r", "w", Head{}, seg.Time, seg.Records)
		back, err := decode("r", Head{}, key("r", 1), again)
		if err != nil || back.Head != head || len(back.Records) != len(seg.Records) {
			t.Fatalf("%q is read as %v, which is written as %q: %v", body, seg, again, err)
		}
	})
}
