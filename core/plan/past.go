package plan

import (
	"context"
	"time"

	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// KnowsPast reports whether a metric can say what was before a rollout.
func KnowsPast(s *program.Slot) bool {
	_, knows := s.Entry.Operation("past")
	return knows
}

// Past is what a metric knows of a release from before a moment, in windows of a
// block (0 is a minute), which is as the judge learns from it.
func Past(ctx context.Context, plugin host.Plugin, c call.Call, s *program.Slot, config value.Value, release target.Release, until time.Time, history, block time.Duration) ([]analysis.Measured, error) {
	if block <= 0 {
		block = time.Minute
	}
	block = max(block, history/metrics.MaxWindows)
	until = until.Truncate(time.Second)
	past, err := plugin.Past(ctx, c, s.Entry.Name, config, release, until.Add(-history.Truncate(block)), until, block)
	if err != nil {
		return nil, err
	}
	out := make([]analysis.Measured, len(past.Windows))
	for i, w := range past.Windows {
		out[i] = analysis.Measured{From: w.From, To: w.To, Release: w.Release}
	}
	return out, nil
}
