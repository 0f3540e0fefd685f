package analysis

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/sdk/analysis/internal/evidence"
)

// savedCompared is the JSON form of a comparison of one metric.
type savedCompared struct {
	Base   *sum              `json:"base,omitempty"`
	Bounds []float64         `json:"bounds,omitempty"`
	Tests  []json.RawMessage `json:"tests,omitempty"`
	Until  time.Time         `json:"until,omitzero"`
	Reason string            `json:"reason,omitempty"`
}

func (c *compared) save() (*savedCompared, error) {
	if c == nil {
		return nil, nil
	}
	out := &savedCompared{Bounds: c.bounds, Until: c.until, Reason: c.reason}
	if !c.chosen {
		out.Base = &c.base
	}
	for _, t := range c.tests {
		b, err := t.Save()
		if err != nil {
			return nil, err
		}
		out.Tests = append(out.Tests, b)
	}
	return out, nil
}

// load goes on with what was saved of the same metric.
func (c *compared) load(in *savedCompared) error {
	damaged := errors.New("it is damaged")
	if (c == nil) != (in == nil) {
		return damaged
	}
	if c == nil {
		return nil
	}
	c.until, c.reason = in.Until, in.Reason
	if in.Base != nil {
		if !in.Base.valid() || len(in.Tests) > 0 || c.chosen {
			return damaged
		}
		c.base = *in.Base
		return nil
	}
	strange := func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }
	if len(in.Bounds) > maxBounds || slices.ContainsFunc(in.Bounds, strange) || c.chosen && !slices.Equal(in.Bounds, c.bounds) {
		return damaged
	}
	if !c.chosen {
		c.choose(in.Bounds)
	}
	if len(in.Tests) != len(c.tests) {
		return damaged
	}
	for i, raw := range in.Tests {
		t, err := evidence.Load(c.config(i), raw)
		if err != nil {
			return err
		}
		c.tests[i] = t
	}
	return nil
}
