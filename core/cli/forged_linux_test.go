package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/store/dump"
	"github.com/runner-pipelines/runner/core/store/memstore"
	"github.com/runner-pipelines/runner/core/store/sqlite"
)

// facts are the plan and the events of every run of a frozen state.
func facts(t *testing.T, dir string, each func(p *plan.Plan, events []kernel.Event)) {
	t.Helper()
	s := memstore.New()
	if err := dump.Load(t.Context(), s, readFrozen(t, dir)); err != nil {
		t.Fatal(err)
	}
	index := runs.New(s)
	for rec, err := range index.List(t.Context(), runs.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := index.Plan(t.Context(), rec.ID)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		var events []kernel.Event
		for seg, err := range journal.Read(t.Context(), s, rec.ID, journal.Head{}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, raw := range seg.Records {
				var ev kernel.Event
				if err := json.Unmarshal(raw, &ev); err != nil {
					t.Fatal(err)
				}
				events = append(events, ev)
			}
		}
		each(p, events)
	}
}

// Facts that are missing, doubled or out of order under the right hashes are nobody's
// accident. They are refused or come to something; there is no panic, neither while
// they are folded nor when it is decided what to do next.
func TestForgedFactsDoNotPanic(t *testing.T) {
	tried, refused := 0, 0
	try := func(t *testing.T, p *plan.Plan, what string, events []kernel.Event) {
		t.Helper()
		defer func() {
			if r := recover(); r != nil {
				t.Errorf("%s: panic: %v", what, r)
			}
		}()
		tried++
		state := kernel.New(&p.Graph)
		for _, ev := range events {
			if err := state.Evolve(ev); err != nil {
				refused++
				return
			}
		}
		state.Idle()
		state.Nodes()
		state.Decide()
	}
	frozen(t, func(t *testing.T, dir string, _ frozenRun) {
		facts(t, dir, func(p *plan.Plan, events []kernel.Event) {
			for i := range events {
				try(t, p, fmt.Sprintf("the first %d", i), events[:i])
				try(t, p, fmt.Sprintf("without %d", i), slices.Delete(slices.Clone(events), i, i+1))
				try(t, p, fmt.Sprintf("%d twice", i), slices.Insert(slices.Clone(events), i, events[i]))
				for j := i + 1; j < len(events); j += 1 + len(events)/10 {
					swapped := slices.Clone(events)
					swapped[i], swapped[j] = swapped[j], swapped[i]
					try(t, p, fmt.Sprintf("%d and %d swapped", i, j), swapped)
				}
			}
		})
	})
	figures.Record(t, "Damage", "journals with facts left out, doubled or swapped under right hashes", "%d, %d refused, no panic", tried, refused)
}

// What a newer runner wrote is never left out to read the rest: every command refuses,
// names the record and the version that is needed, and changes nothing.
func TestARunOfANewerRunnerIsRefused(t *testing.T) {
	const resumed = `{"t":"run.resumed","at":%d,"d":{"host":"laptop","pid":1,"initiator":"ada","parallelism":10,"runner":"9.1.0"%s}}`
	for name, tc := range map[string]struct {
		field, record, says string
	}{
		"fact":  {"", `{"t":"node.paused","at":%d,"d":{"node":"stage.migrate"}}`, `fact "node.paused" is not known to this runner`},
		"field": {"", `{"t":"noted","at":%d,"d":{"text":"hello","colour":"red"}}`, `the field "colour" of fact noted is not known to this runner`},
		"deep":  {"", `{"t":"command.failed","at":%d,"d":{"command":1,"failure":{"summary":"x","blame":"ada"}}}`, `the field "blame" of fact command.failed is not known`},
		"word":  {"", `{"t":"command.issued","at":%d,"d":{"id":99,"kind":"teleport"}}`, `the word "teleport" in fact command.issued is not known`},
		"first": {`,"cloud":"moon"`, `{"t":"noted","at":%d,"d":{"text":"hello"}}`, `the field "cloud" of fact run.resumed is not known`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := thaw(t, filepath.Join(frozenDir(kernel.FactFormat), "waiting"))
			s, err := sqlite.Open(t.Context(), filepath.Join(w.dir, ".runner", "state.db"))
			if err != nil {
				t.Fatal(err)
			}
			rec, err := runs.New(s).Find(t.Context(), runs.Latest)
			if err != nil {
				t.Fatal(err)
			}
			j, err := journal.Open(t.Context(), s, rec.ID, func(journal.Segment) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			err = j.Append(t.Context(), now, []json.RawMessage{
				[]byte(fmt.Sprintf(resumed, now.UnixMilli(), tc.field)), []byte(fmt.Sprintf(tc.record, now.UnixMilli())),
			})
			if err != nil {
				t.Fatal(err)
			}
			head := j.Head()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"resume"}, {"status"}, {"show"}, {"explain"}, {"report", "-out=-"}, {"rollback"}, {"doctor", "-repair", rec.ID}} {
				out := w.as(t, "ada:sre", 1, args...)
				for _, says := range []string{tc.says, fmt.Sprintf("in segment %d, record", head.Number), "9.1.0"} {
					if !strings.Contains(out, says) {
						t.Errorf("runner %s does not say %q:\n%s", args[0], says, out)
					}
				}
			}
			if s, err = sqlite.Open(t.Context(), filepath.Join(w.dir, ".runner", "state.db")); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if j, err = journal.Open(t.Context(), s, rec.ID, func(journal.Segment) error { return nil }); err != nil || j.Head() != head {
				t.Errorf("the journal was changed (error %v)", err)
			}
		})
	}
}
