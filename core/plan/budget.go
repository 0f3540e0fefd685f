package plan

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/settings"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Budget is what became of an SLO's error budget before a rollout.
type Budget struct {
	SLO string `json:"slo"`
	// Objective is the share of good observations, WindowMS the time that the budget is for.
	Objective float64 `json:"objective"`
	WindowMS  int64   `json:"window_ms"`
	// OnExhausted is "hold", "abort" or "continue".
	OnExhausted string `json:"on_exhausted"`
	// Unknown is why nothing can be said of the budget.
	Unknown string `json:"unknown,omitempty"`
	// N are the observations in the window, Bad those that were bad, MeasuredMS is how
	// much of the window was measured.
	N          int64 `json:"n,omitempty"`
	Bad        int64 `json:"bad,omitempty"`
	MeasuredMS int64 `json:"measured_ms,omitempty"`
	// Consumed is the part of the budget that is used, 1 for all of it, to a millionth. Then it is back
	// after BackMS if nothing more fails.
	Consumed float64 `json:"consumed,omitempty"`
	BackMS   int64   `json:"back_ms,omitempty"`
	// Exhausted: nothing is left. Burning says how fast it is being used up, where that
	// is too fast.
	Exhausted bool   `json:"exhausted,omitempty"`
	Burning   string `json:"burning,omitempty"`
	// Why sums it up.
	Why string `json:"why"`
}

// Spent reports whether on_exhausted says what happens.
func (b *Budget) Spent() bool { return b.Exhausted || b.Burning != "" }

// maxBudgetWindows bounds how many windows of the past a budget is read in.
const maxBudgetWindows = 1000

// PastReader reads what was counted for an SLO at a target from before the
// rollout, in windows of a block.
type PastReader func(ctx context.Context, s *program.Slot, target string, history, block time.Duration) ([]analysis.Measured, error)

// both reads what the budget is made of, and what burn rates begin with.
func (read PastReader) both(ctx context.Context, s *program.Slot, target string, slo analysis.SLO) (past, recent []analysis.Measured, err error) {
	ctx, cancel := context.WithTimeout(ctx, pastTimeout)
	defer cancel()
	block := (slo.Window/maxBudgetWindows + time.Minute - 1).Truncate(time.Minute)
	if past, err = read(ctx, s, target, slo.Window, block); err != nil {
		return nil, nil, err
	}
	history, window := slo.Before()
	recent, err = read(ctx, s, target, history, window)
	return past, recent, err
}

// Budgets asks what became of the error budgets of a stage's SLOs until a moment.
// Stable are the releases that serve now, by target. What cannot be known is said in
// the budget; an error says that the plugin was lost or broke the protocol, or that ctx ended.
func Budgets(ctx context.Context, n *program.Node, stable map[string]*target.Release, until time.Time, read PastReader) ([]Budget, error) {
	if n.Settings.Analysis == nil {
		return nil, nil
	}
	var out []Budget
	for i := range n.Settings.Analysis.SLOs {
		b, err := budget(ctx, n, &n.Settings.Analysis.SLOs[i], stable, until, read)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func budget(ctx context.Context, n *program.Node, set *settings.SLO, stable map[string]*target.Release, until time.Time, read PastReader) (Budget, error) {
	b := Budget{SLO: set.Name, Objective: set.Objective, WindowMS: set.Window.Milliseconds(), OnExhausted: set.OnExhausted}
	var pasts [][]analysis.Measured
	burn := analysis.NewBurn([]analysis.SLO{set.SLO})
	b.Unknown = "there is no stable release yet"
	for _, s := range n.SLOs {
		for _, t := range n.Targets {
			if s.Name != set.Name || !s.Of(t.Name) || stable[t.Name] == nil {
				continue
			}
			b.Unknown = "nothing was counted"
			if !KnowsPast(s) {
				b.Unknown = fmt.Sprintf("the component %q does not know the past", s.Entry.Name)
				continue
			}
			past, recent, err := read.both(ctx, s, t.Name, set.SLO)
			switch {
			case err == nil:
			case ctx.Err() != nil || host.Explain(err, "") != nil:
				return b, err
			default:
				return b.unknown(err.Error()), nil
			}
			pasts = append(pasts, past)
			burn.Seed(set.Name, t.Name, recent, until)
		}
	}
	got := set.Budget(until, pasts...)
	if b.Burning, _ = burn.Burning(set.Name); got.N == 0 && b.Burning == "" {
		return b.unknown(b.Unknown), nil
	}
	b.Unknown = ""
	b.N, b.Bad, b.Consumed, b.Exhausted = got.N, got.Bad, math.Round(got.Consumed*1e6)/1e6, got.Exhausted()
	b.MeasuredMS, b.BackMS = got.Measured.Milliseconds(), got.Back.Milliseconds()
	b.Why = got.String()
	if b.Burning != "" {
		b.Why = b.Burning + ". " + b.Why
	}
	return b, nil
}

func (b Budget) unknown(why string) Budget {
	b.Unknown, b.Why = why, fmt.Sprintf("%s: nothing is known of its error budget: %s", b.SLO, why)
	return b
}
