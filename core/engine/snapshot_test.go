package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

// Snapshots of a large graph are as rare as they are large, and a closed run has none.
func TestSnapshotsCostNoMoreThanTheEvents(t *testing.T) {
	for name, tc := range map[string]struct {
		nodes  int
		closed bool
		want   []int64
	}{
		"small graph": {nodes: 10, want: []int64{1000, 2000, 3000, 4000, 5000}},
		"large graph": {nodes: 2500, want: []int64{2500, 5000}},
		"closed run":  {nodes: 10, closed: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &plan.Plan{}
			for range tc.nodes {
				p.Graph.Nodes = append(p.Graph.Nodes, kernel.Node{Kind: kernel.BarrierNode})
			}
			s := memstore.New()
			e := New(Config{Plan: p, Run: runs.Record{ID: "r"}, State: kernel.New(&p.Graph), Store: s, Journal: journal.At(s, "r", journal.Head{})})
			fold := func(f kernel.Fact) {
				if err := e.State.Evolve(kernel.Event{At: 1, Fact: f}); err != nil {
					t.Fatal(err)
				}
			}
			if tc.closed {
				fold(kernel.RunClosed{Outcome: kernel.Succeeded})
			}
			var got []int64
			for range 5000 {
				before := e.written
				if err := e.snapshot(t.Context()); err != nil {
					t.Fatal(err)
				}
				if e.written != before {
					got = append(got, e.written)
				}
				fold(kernel.Noted{By: "test", Text: "an event"})
			}
			if err := e.snapshot(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := e.State.Events(); e.written == n {
				got = append(got, n)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("snapshots after so many events: %s", diff)
			}
			if keys := s.Keys("runs/r/snapshot/"); (len(keys) == 0) != tc.closed {
				t.Errorf("snapshots in the store: %v", keys)
			}
		})
	}
}
