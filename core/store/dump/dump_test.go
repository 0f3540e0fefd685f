package dump_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/dump"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	var items []store.Item
	for _, v := range []string{"", "a", "a\n", "\n", "a\n\nb", "  indented\n  too", "é\n", "a\r\n", "\x00", "\xff", "\ufeff", strings.Repeat("\x01", 500)} {
		items = append(items, store.Item{Key: "key \"" + v, Value: []byte(v)})
	}
	var text bytes.Buffer
	if err := dump.Write(&text, items); err != nil {
		t.Fatal(err)
	}
	got, err := dump.Read(bytes.NewReader(text.Bytes()))
	if err != nil {
		t.Fatalf("%v\n%s", err, text.Bytes())
	}
	if diff := cmp.Diff(items, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	s := memstore.New()
	if err := dump.Load(t.Context(), s, got); err != nil || len(s.Keys("")) != len(items) {
		t.Errorf("loaded %d of %d: %v", len(s.Keys("")), len(items), err)
	}
	if err := dump.Load(t.Context(), s, got); err == nil {
		t.Error("loaded twice")
	}
}

func TestTextIsReadable(t *testing.T) {
	var text bytes.Buffer
	if err := dump.Write(&text, []store.Item{{Key: "a/1", Value: []byte("one\ntwo")}, {Key: "b", Value: []byte{0}}}); err != nil {
		t.Fatal(err)
	}
	const want = "runner records 1\n\"a/1\" open\n  one\n  two\n\"b\" base64\n  AA==\n"
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Error(diff)
	}
}

func TestOtherTextIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "runner records 2\n", "runner records 1", "runner records 1\nkey text\n", "runner records 1\n\"a\"\n", "runner records 1\n\"a\" hex\n  00\n",
		"runner records 1\n\"a\" base64\n  !\n", "runner records 1\n\"a\" text\n  cut",
	} {
		if got, err := dump.Read(strings.NewReader(text)); err == nil {
			t.Errorf("Read(%q) = %v", text, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("runner records 1\n\"a/1\" open\n  one\n  two\n\"b\" base64\n  AA==\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		items, err := dump.Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := dump.Write(&out, items); err != nil {
			t.Fatal(err)
		}
		again, err := dump.Read(&out)
		if err != nil {
			t.Fatal(err)
		}
		if len(again) != len(items) {
			t.Fatalf("%d items, then %d", len(items), len(again))
		}
		for i := range items {
			if items[i].Key != again[i].Key || !bytes.Equal(items[i].Value, again[i].Value) {
				t.Fatalf("%v is written as %v", items[i], again[i])
			}
		}
	})
}
