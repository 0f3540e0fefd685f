package plan

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/settings"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/target"
)

// What cannot be known is said; only a plugin that is lost is an error.
func TestABudgetSaysWhyItIsNotKnown(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	slots := func(operations ...schema.Operation) []*program.Slot {
		return []*program.Slot{{Name: "availability", Entry: catalog.Entry{Component: &host.Component{Name: "counter", Operations: operations}}}}
	}
	past := schema.Operation{Name: "past"}
	both := map[string]*target.Release{"eu": {ID: "r-1"}, "us": {ID: "r-2"}}
	// counted gives a past of one rate, and checks that it is asked for in few windows.
	counted := func(bad int64) PastReader {
		return func(_ context.Context, _ *program.Slot, _ string, history, block time.Duration) ([]analysis.Measured, error) {
			if history/block > 1000 {
				t.Errorf("%s in windows of %s", history, block)
			}
			var out []analysis.Measured
			for to := now.Add(-history + block); !to.After(now); to = to.Add(block) {
				out = append(out, analysis.Measured{From: to.Add(-block), To: to, Release: metrics.Release{Counter: &metrics.Counter{N: 10_000, Events: bad}}})
			}
			return out, nil
		}
	}
	failing := func(err error) PastReader {
		return func(context.Context, *program.Slot, string, time.Duration, time.Duration) ([]analysis.Measured, error) {
			return nil, err
		}
	}
	for _, x := range []struct {
		name   string
		slots  []*program.Slot
		stable map[string]*target.Release
		read   PastReader
		// unknown, burning and why are in the budget.
		unknown, burning, why string
		exhausted             bool
		err                   error
	}{
		{"a first deployment", slots(past), map[string]*target.Release{"eu": nil}, nil, "there is no stable release yet", "", "availability: nothing is known of its error budget: there is no stable release yet", false, nil},
		{"no memory", slots(), both, nil, `the component "counter" does not know the past`, "", "", false, nil},
		{"no data", slots(past), both, failing(nil), "nothing was counted", "", "", false, nil},
		{"not readable", slots(past), both, failing(errors.New("the past could not be read: nobody answers")), "the past could not be read: nobody answers", "", "", false, nil},
		{"lost", slots(past), both, failing(&host.Fault{Kind: host.ErrLost}), "", "", "", false, host.ErrLost},
		{"all is well", slots(past), both, counted(3), "", "", "30 % of its error budget is used", false, nil},
		{"used up", slots(past), both, counted(20), "", "", "its error budget is used up, 200 % of it", true, nil},
		{"burning", slots(past), both, counted(200), "", "20 times too fast over 5 minutes", "20 times too fast over 5 minutes", true, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			n := &program.Node{
				SLOs: x.slots, Targets: []*program.Slot{{Name: "eu"}, {Name: "us"}},
				Settings: &settings.Stage{Analysis: &settings.Analysis{SLOs: []settings.SLO{
					{SLO: analysis.SLO{Name: "availability", Objective: 0.999, Window: 30 * 24 * time.Hour}, OnExhausted: "abort"},
				}}},
			}
			got, err := Budgets(t.Context(), n, x.stable, now, x.read)
			if !errors.Is(err, x.err) {
				t.Fatalf("error %v, want %v", err, x.err)
			}
			if err != nil {
				return
			}
			b := got[0]
			if len(got) != 1 || b.Unknown != x.unknown || !strings.Contains(b.Burning, x.burning) || (b.Burning == "") != (x.burning == "") ||
				!strings.Contains(b.Why, x.why) || b.Exhausted != x.exhausted || b.Spent() != (x.exhausted || x.burning != "") || b.OnExhausted != "abort" {
				t.Errorf("%+v", got)
			}
		})
	}
}

// That releases are not told apart is meant where an SLO is of the whole service.
func TestOnlyOneWarningIsMeant(t *testing.T) {
	warning := diagnostics.Warning(hcl.Range{}, "Releases not told apart", "They are one.")
	if asOne(warning) {
		t.Error("a warning without a code is dropped")
	}
	warning.Extra = diagnostics.Extra{Code: metrics.CodeNotApart}
	if !asOne(warning) {
		t.Error("it is not known by its code")
	}
	warning.Severity = hcl.DiagError
	if asOne(warning) {
		t.Error("an error is dropped")
	}
}
