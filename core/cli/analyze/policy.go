package analyze

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/analyze/recorded"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/sdk/analysis"
)

// policy is how metrics are judged. Its options are named like the attributes of an
// analysis.
type policy struct {
	alpha     float64
	tolerance each[float64]
	margin    each[float64]
	marginAbs each[float64]
	better    each[string]
	block     each[time.Duration]
	weight    each[float64]
	minCount  each[int64]
	min, max  each[float64]
	quantile  each[float64]
	critical  command.Repeated
	share     float64
	// stage are the metrics of a stage of the pipeline, where one was named.
	stage []analysis.Metric
}

func (p *policy) flags(f *flag.FlagSet) {
	p.alpha, p.share = analysis.Alpha, 0.5
	p.tolerance.parse, p.margin.parse, p.marginAbs.parse = within(0, 10), above(1, 100), between(0, 1)
	p.better.parse, p.block.parse, p.weight.parse, p.minCount.parse = aSide, aBlock, above(0, 1000), aCount
	p.min.parse, p.max.parse, p.quantile.parse = finite, finite, between(0, 1)
	f.Func("alpha", "the `probability` of a wrong abort, and of a wrong pass; 0.05 unless given", func(s string) (err error) {
		p.alpha, err = above(0, 0.5)(s)
		return err
	})
	f.Var(&p.tolerance, "tolerance", "how much worse is no harm, as a `share` of stable's bad ones; 0.1 unless given")
	f.Var(&p.margin, "margin", "pass when this `ratio` of bad ones is ruled out; 1.5 unless a margin is given")
	f.Var(&p.marginAbs, "margin-abs", "or when this `difference` of shares is, such as 0.5pp; 0.5pp unless a margin is given")
	f.Var(&p.better, "better", "which `side` is good: lower, higher or same; lower unless given")
	f.Var(&p.block, "block", "the `time` within which one cause may tie errors together; 1m unless given")
	f.Var(&p.weight, "weight", "the `part` of the evidence that a metric has")
	f.Var(&p.minCount, "min-count", "the `number` of the candidate's requests before which nothing is decided")
	f.Var(&p.min, "min", "the `limit` below which a metric is harm")
	f.Var(&p.max, "max", "the `limit` above which a metric is harm")
	f.Var(&p.quantile, "quantile", "the `quantile` of a distribution that limits hold for")
	f.Var(&p.critical, "critical", "the `metric` that is decided sooner than the others; may be repeated")
	f.Func("share", "the candidate's `percent` of the traffic; 50 unless given", func(s string) error {
		v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
		if err != nil || !(v > 0 && v < 100) {
			return errors.New("it lies between 0 and 100")
		}
		p.share = v / 100
		return nil
	})
}

// metric is how one metric is judged, as a pipeline with the same attributes would
// have it: who says one margin means that one, and a metric with a limit is compared
// only where something is said of its comparison.
func (p *policy) metric(name string, form recorded.Form) analysis.Metric {
	m, how, compared := analysis.Metric{Name: name}, analysis.Standard(), p.min.of(name) == nil && p.max.of(name) == nil
	if said := p.of(name); said != nil {
		m = *said
		if compared = said.Compare != nil; compared {
			*how = *said.Compare
		}
	}
	p.tolerance.to(name, &how.Tolerance)
	for _, margins := range [][2]*float64{{p.margin.all, p.marginAbs.all}, {p.margin.named(name), p.marginAbs.named(name)}} {
		if margins[0] != nil || margins[1] != nil {
			how.Margin, how.MarginAbs = value(margins[0]), value(margins[1])
		}
	}
	p.better.to(name, &m.Better)
	p.block.to(name, &how.Block)
	p.weight.to(name, &how.Weight)
	p.minCount.to(name, &m.MinCount)
	p.quantile.to(name, &m.Quantile)
	m.Better = cmp.Or(m.Better, "lower")
	m.Min, m.Max = cmp.Or(p.min.of(name), m.Min), cmp.Or(p.max.of(name), m.Max)
	how.Critical = how.Critical || slices.Contains(p.critical, name)
	how.Rate = how.Rate || form == recorded.Events
	if compared || how.Rate || p.compares(name) {
		m.Compare = how
	}
	return m
}

// compares reports whether an option speaks of the comparison of this metric.
func (p *policy) compares(name string) bool {
	for _, e := range []*each[float64]{&p.tolerance, &p.margin, &p.marginAbs, &p.weight} {
		if e.named(name) != nil {
			return true
		}
	}
	return p.block.named(name) != nil || slices.Contains(p.critical, name)
}

// value is 0 where there is none.
func value(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

// unknown is a name that an option gives and no metric has.
func (p *policy) unknown(known []string) (flag, name string, ok bool) {
	for flag, given := range map[string][]string{
		"tolerance": p.tolerance.names(), "margin": p.margin.names(), "margin-abs": p.marginAbs.names(), "better": p.better.names(),
		"block": p.block.names(), "weight": p.weight.names(), "min-count": p.minCount.names(), "min": p.min.names(), "max": p.max.names(),
		"quantile": p.quantile.names(), "critical": p.critical,
	} {
		for _, name := range given {
			if !slices.Contains(known, name) {
				return flag, name, true
			}
		}
	}
	return "", "", false
}

// each is an option that holds for all metrics, or for one: VALUE or NAME=VALUE.
type each[T any] struct {
	parse func(string) (T, error)
	all   *T
	one   map[string]T
}

// String implements flag.Value.
func (e *each[T]) String() string { return "" }

// Set implements flag.Value.
func (e *each[T]) Set(text string) error {
	name, value := "", text
	if i := strings.LastIndexByte(text, '='); i >= 0 {
		name, value = text[:i], text[i+1:]
	}
	v, err := e.parse(value)
	switch {
	case err != nil:
		return err
	case name == "":
		e.all = &v
	case e.one == nil:
		e.one = map[string]T{name: v}
	default:
		e.one[name] = v
	}
	return nil
}

// named is what was given for one metric; nil is nothing.
func (e *each[T]) named(metric string) *T {
	if v, ok := e.one[metric]; ok {
		return &v
	}
	return nil
}

func (e *each[T]) of(metric string) *T {
	if v := e.named(metric); v != nil {
		return v
	}
	return e.all
}

func (e *each[T]) to(metric string, v *T) {
	if given := e.of(metric); given != nil {
		*v = *given
	}
}

func (e *each[T]) names() []string { return slices.Sorted(maps.Keys(e.one)) }

// finite reads a number; with % or pp it is a hundredth of that.
func finite(s string) (float64, error) {
	number := strings.TrimSpace(strings.TrimSuffix(strings.TrimSuffix(s, "pp"), "%"))
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, errors.New("it is a number, such as 0.1 or 0.5%")
	}
	if number != s {
		v /= 100
	}
	return v, nil
}

// within reads a number of a range with both its ends.
func within(low, high float64) func(string) (float64, error) {
	return inside(func(v float64) bool { return v >= low && v <= high }, "it lies between %g and %g", low, high)
}

// between is without the ends.
func between(low, high float64) func(string) (float64, error) {
	return inside(func(v float64) bool { return v > low && v < high }, "it lies above %g and below %g", low, high)
}

// above is without the lower end.
func above(low, high float64) func(string) (float64, error) {
	return inside(func(v float64) bool { return v > low && v <= high }, "it lies above %g and is at most %g", low, high)
}

func inside(ok func(float64) bool, otherwise string, low, high float64) func(string) (float64, error) {
	return func(s string) (float64, error) {
		v, err := finite(s)
		if err == nil && !ok(v) {
			err = fmt.Errorf(otherwise, low, high)
		}
		return v, err
	}
}

func aSide(s string) (string, error) {
	if s != "lower" && s != "higher" && s != "same" {
		return "", errors.New("it is lower, higher or same")
	}
	return s, nil
}

func aBlock(s string) (time.Duration, error) {
	d, err := lang.ParseDuration(s)
	if err == nil && d < time.Second {
		err = errors.New("it is at least a second")
	}
	return d, err
}

func aCount(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, errors.New("it is a whole number, at least 1")
	}
	return n, nil
}

// span is a time as an option, in Go's form and with d for days.
type span time.Duration

// String implements flag.Value.
func (s *span) String() string { return "" }

// Set implements flag.Value.
func (s *span) Set(text string) error {
	d, err := lang.ParseDuration(text)
	*s = span(d)
	return err
}
