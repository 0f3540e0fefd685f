package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadEvents(t *testing.T) {
	const stream = `{"time":"2026-11-23T12:00:00Z","type":"plan","data":{"digest":"x"}}
{"time":"2026-11-23T12:00:01Z","type":"command.issued","run":"r","data":{"id":7,"kind":"set_weight","weight":5000,"release":"abc"}}
{"time":"2026-11-23T12:00:02Z","type":"log","run":"r","data":{"command":7,"message":"moving"}}
{"time":"2026-11-23T12:00:03Z","type":"command.issued","run":"r","data":{"id":8,"kind":"install"}}
{"time":"2026-11-23T12:00:04Z","type":"command.succeeded","run":"r","data":{"command":8}}
{"time":"2026-11-23T12:00:05Z","type":"command.succeeded","run":"r","data":{"command":7}}
{"time":"2026-11-23T12:00:06Z","type":"verdict.reached","run":"r","data":{"harm":{"value":"inconclusive","n":1},"step":{"value":"pass","n":1}}}
{"time":"2026-11-23T12:00:07Z","type":"verdict.reached","run":"r","data":{"harm":{"value":"fail","n":60,"why":"too many errors"},"step":{"value":"fail","n":60}}}
{"time":"2026-11-23T12:00:08Z","type":"rollout.aborting","run":"r","data":{"node":"stage.release","why":"harm: too many errors","outcome":"rolled_back"}}
{"time":"2026-11-23T12:00:08Z","type":"command.issued","run":"r","data":{"id":9,"kind":"set_weight","release":"abc","back":true}}
{"time":"2026-11-23T12:00:09Z","type":"command.succeeded","run":"r","data":{"command":9}}
`
	at := func(s int) time.Time { return time.Date(2026, 11, 23, 12, 0, s, 0, time.UTC) }
	want := []Event{
		{Kind: WeightSet, Time: at(5), Weight: "5%"},
		{Kind: HarmFound, Time: at(7), Text: "too many errors"},
		{Kind: Aborting, Time: at(8), Text: "harm: too many errors"},
		{Kind: WeightSet, Time: at(9), Weight: "0%"},
	}
	var got []Event
	if err := read(strings.NewReader(stream), func(e Event) { got = append(got, e) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// Something else on standard output is a broken promise of runner, not a line to be skipped.
func TestReadRefusesOtherLines(t *testing.T) {
	if err := read(strings.NewReader("hello\n"), func(Event) {}); err == nil || !strings.Contains(err.Error(), "hello") {
		t.Errorf("error is %v, want one with the line", err)
	}
}
