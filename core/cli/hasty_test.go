package cli

import (
	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// otherwise is a file beside the fake plugin that makes its strategy another one.
const otherwise = "otherwise"

// hasty answers as fake_strategy until a step was entered, and then goes to 100 at
// once.
type hasty struct{ fake.Strategy }

func hastyPlugin() sdk.Plugin {
	p := fake.Plugin()
	p.Strategies = map[string]func() strategy.Strategy{
		"fake_strategy": func() strategy.Strategy { return &hasty{fake.Strategy{Steps: []float64{50, 100}}} },
	}
	return p
}

// Next leaves out every step between the first and the last.
func (h *hasty) Next(in strategy.Snapshot) (strategy.Decision, error) {
	h.Steps = []float64{h.Steps[0], 100}
	return h.Strategy.Next(in)
}
