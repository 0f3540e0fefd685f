package target_test

import (
	"math"
	"testing"

	"github.com/runner-pipelines/runner/sdk/target"
)

func TestPercent(t *testing.T) {
	for in, want := range map[float64]target.Weight{0: 0, 100: target.Full, 5: 5_000, 0.001: 1, 33.333: 33_333, 0.1 + 0.2: 300, 99.999: 99_999} {
		if got, err := target.Percent(in); err != nil || got != want {
			t.Errorf("Percent(%v) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []float64{-0.001, 100.001, 0.0005, 1e300, math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got, err := target.Percent(in); err == nil {
			t.Errorf("Percent(%v) = %d; want an error", in, got)
		}
	}
	for in, want := range map[target.Weight]string{0: "0%", 1: "0.001%", 5_000: "5%", 12_500: "12.5%", target.Full: "100%"} {
		if got := in.String(); got != want {
			t.Errorf("%d is written %q, not %q", in, got, want)
		}
	}
}

func TestAllows(t *testing.T) {
	percent := target.Capabilities{Weights: target.PercentSteps, Step: target.OnePercent}
	for name, tt := range map[string]struct {
		caps target.Capabilities
		w    target.Weight
		want bool
	}{
		"nothing":             {target.Capabilities{}, 0, true},
		"all":                 {target.Capabilities{}, target.Full, true},
		"half of a switch":    {target.Capabilities{Weights: target.Switch}, target.Full / 2, false},
		"on a step":           {percent, 5_000, true},
		"between two steps":   {percent, 5_500, false},
		"below nothing":       {percent, -1_000, false},
		"more than all":       {percent, 101_000, false},
		"a step of nothing":   {target.Capabilities{Weights: target.PercentSteps}, 5_000, false},
		"all of an odd step":  {target.Capabilities{Weights: target.PercentSteps, Step: 30_000}, target.Full, true},
		"half of an odd step": {target.Capabilities{Weights: target.PercentSteps, Step: 30_000}, 50_000, false},
	} {
		if got := tt.caps.Allows(tt.w); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
