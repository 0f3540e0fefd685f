package main

import (
	"testing"

	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/strategy/strategytest"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Each suite serves the plugin as it is, not the strategy alone.

// worlds keeps the race detector's share of a test run to seconds.
const worlds = 200

func TestCanaryConformance(t *testing.T) {
	strategytest.Run(t, strategytest.Suite{
		Subject: sdktest.Subject{
			Plugin: plugin(), Component: "canary",
			Valid: []sdktest.Config{
				{"steps": []float64{5, 25, 50, 100}, "bake": "2m"},
				{"steps": []float64{1, 50, 100}, "bake": "0s", "approve": map[string]string{"50": "half", "100": "all"}},
				{"steps": []float64{100}, "bake": "1d"},
			},
			Invalid: []sdktest.Invalid{
				{Config: sdktest.Config{"steps": []float64{}, "bake": "1m"}, At: "steps"},
				{Config: sdktest.Config{"steps": []float64{50, 5, 100}, "bake": "1m"}, At: "steps[1]"},
				{Config: sdktest.Config{"steps": []float64{50}, "bake": "1m"}, At: "steps[0]"},
				{Config: sdktest.Config{"steps": []float64{50, 100}, "bake": "-1m"}, At: "bake"},
				{Config: sdktest.Config{"steps": []float64{50, 100}, "bake": "1m", "approve": map[string]string{"7": "half"}}, At: `approve["7"]`},
			},
		},
		Approvals: []string{"half", "all"},
		Worlds:    worlds,
	})
}

func TestBlueGreenConformance(t *testing.T) {
	strategytest.Run(t, strategytest.Suite{
		Subject: sdktest.Subject{
			Plugin: plugin(), Component: "blue_green",
			Valid:   []sdktest.Config{{}, {"approve": "go", "warm": "10m"}},
			Invalid: []sdktest.Invalid{{Config: sdktest.Config{"approve": ""}, At: "approve"}, {Config: sdktest.Config{"warm": "-1s"}, At: "warm"}},
		},
		Approvals: []string{"go"},
		Targets:   []target.Capabilities{percent, onOff},
		Worlds:    worlds,
	})
}

func TestAllAtOnceConformance(t *testing.T) {
	strategytest.Run(t, strategytest.Suite{
		Subject: sdktest.Subject{Plugin: plugin(), Component: "all_at_once", Valid: []sdktest.Config{{}}},
		Targets: []target.Capabilities{percent, onOff, {Weights: target.NoWeights}},
		Worlds:  worlds,
	})
}
