package analyze

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"iter"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/analyze/recorded"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

const stdin = "-"

// Metrics that are not named by a file.
const (
	errorsMetric  = "errors"
	latencyMetric = "latency"
	valuesMetric  = "values"
)

func (o *Options) checkReplay(c *command.Command) error {
	given := o.given
	queries := o.Requests != "" || o.Errors != "" || o.Buckets != "" || o.Values != ""
	switch {
	case o.Series != "delta" && o.Series != "counter":
		return c.Usage("-series must be delta or counter; %q is neither.", o.Series)
	case o.Requests != "" && o.Errors == "":
		return c.Usage("-requests needs -errors beside it.")
	case o.Prometheus == "" && (o.Buckets != "" || o.Values != "" || given["from"] || given["to"] || given["step"]):
		return c.Usage("-buckets, -values, -from, -to and -step ask a Prometheus; -prometheus says which.")
	case o.Prometheus != "" && !queries:
		return c.Usage("-prometheus needs to be asked something: -requests and -errors, -buckets or -values.")
	case o.Prometheus != "" && o.From.IsZero():
		return c.Usage("-prometheus needs the time to begin with: -from.")
	case o.Prometheus != "" && o.Step < time.Second:
		return c.Usage("-step must be at least 1s.")
	case !queries && len(o.Files)+len(o.Metrics) == 0:
		return c.Usage("runner analyze replay needs something to judge: a FILE, or queries and -prometheus.")
	}
	return nil
}

// track is one metric and what was recorded of it.
type track struct {
	metric    analysis.Metric
	recording *recorded.Recording
	next      func() (recorded.Moment, bool)
	stop      func()
	now       recorded.Moment
	more      bool
}

func (t *track) advance() { t.now, t.more = t.next() }

// replay judges what was recorded.
func replay(ctx context.Context, o *Options) error {
	var p recorded.Problems
	tracks, err := o.tracks(ctx, &p)
	if err != nil {
		return err
	}
	if err := o.show(&p); err != nil {
		return err
	}
	out := bufio.NewWriter(o.Env.Stdout)
	v := newView(out, o.JSON)
	end, err := o.judge(ctx, tracks, v)
	if err != nil {
		return err
	}
	if p.Failed() {
		if err := out.Flush(); err != nil {
			return err
		}
		return o.show(&p)
	}
	for _, t := range tracks {
		t.recording.Warn()
		end.LeftOut += t.recording.LeftOut()
		end.Rows += t.recording.Rows
	}
	if err := errors.Join(v.end(end), out.Flush()); err != nil {
		return err
	}
	if err := o.show(&p); err != nil {
		return err
	}
	switch end.Decision {
	case strategy.Fail:
		return &command.ExitError{Code: command.RolledBack}
	case strategy.Pass:
		return nil
	}
	return &command.ExitError{Code: command.Waiting}
}

// show writes problems; its error ends the command when one of them is an error.
func (o *Options) show(p *recorded.Problems) error {
	diags := diagnostics.Tidy(p.Diags)
	p.Diags = nil
	if err := diagnostics.Write(o.Env.Stderr, diags, p.Files); err != nil {
		return err
	}
	if !diags.HasErrors() {
		return nil
	}
	if err := diagnostics.WriteMore(o.Env.Stderr, diags); err != nil {
		return err
	}
	return &command.ExitError{Code: command.Failed}
}

// judge goes through all moments in the order of time.
func (o *Options) judge(ctx context.Context, tracks []*track, v view) (end summary, err error) {
	var all []analysis.Metric
	for _, t := range tracks {
		all = append(all, t.metric)
		t.next, t.stop = iter.Pull(t.recording.Moments())
		defer t.stop()
		t.advance()
	}
	began, err := o.steps()
	if err != nil {
		return end, err
	}
	end = summary{Decision: strategy.Inconclusive, Judge: analysis.Version, Why: "There is no moment to judge."}
	judge := analysis.Policy{Alpha: o.Policy.alpha}.New(all)
	var start, step time.Time
	for ctx.Err() == nil {
		now, more := math.Inf(1), false
		for _, t := range tracks {
			if t.more {
				now, more = min(now, t.now.T), true
			}
		}
		if !more {
			return end, nil
		}
		if start.IsZero() && !begins(tracks, now) {
			continue
		}
		leftOut := 0
		for _, t := range tracks {
			if !t.more || t.now.T != now {
				continue
			}
			m := t.now
			if start.IsZero() {
				start, step = m.From, m.From
				judge.StepBegan(step)
			}
			for len(began) > 0 && !began[0].After(m.From) {
				step, began = began[0], began[1:]
				judge.StepBegan(step)
				end.Decision = strategy.Inconclusive
			}
			judge.Observe(o.look(t.metric.Name, m))
			leftOut += m.LeftOut
			t.advance()
		}
		at := recorded.Time(now)
		l := look{T: now, Harm: judge.Harm(), Step: judge.Step(), LeftOut: leftOut, after: at.Sub(start)}
		if o.JSON {
			l.Evidence = evidenceOf(judge)
		}
		if err := v.look(l); err != nil {
			return end, err
		}
		end.Looks++
		harm := l.Harm.Value == strategy.Fail
		passed := l.Step.Value == strategy.Pass && at.Sub(step) >= o.Bake
		if end.Decision != strategy.Pass || harm {
			end.At, end.after, end.Why = now, l.after, l.Step.Why
		}
		switch {
		case harm:
			end.Decision, end.Why = strategy.Fail, l.Harm.Why
			return end, nil
		case passed:
			end.Decision = strategy.Pass
		}
	}
	return end, interrupted()
}

func interrupted() error {
	return &command.ExitError{Code: command.Interrupted, Message: "Interrupted: not everything was judged."}
}

// begins is true at a moment at which there is a candidate. Moments before the
// first are of no rollout, and are passed over.
func begins(tracks []*track, now float64) bool {
	here := func(t *track) bool { return t.more && t.now.T == now }
	if slices.ContainsFunc(tracks, func(t *track) bool { return here(t) && t.now.Candidate != nil }) {
		return true
	}
	for _, t := range tracks {
		if here(t) {
			t.advance()
		}
	}
	return false
}

// steps are the moments of -began.
func (o *Options) steps() (out []time.Time, err error) {
	for _, s := range o.Began {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || !(math.Abs(v) <= recorded.MostTime) {
			return nil, failed("Invalid value", "-began=%s should be a number of seconds, as t_seconds of the data.", s)
		}
		out = append(out, recorded.Time(v))
	}
	slices.SortFunc(out, time.Time.Compare)
	return out, nil
}

// look is what the judge is told of a moment.
func (o *Options) look(metric string, m recorded.Moment) analysis.Look {
	l := analysis.Look{Metric: metric, Target: "main", From: m.From, To: m.To, Stable: m.Stable, Share: o.Policy.share}
	if m.Candidate == nil {
		l.Candidate = metrics.Release{NoData: "nothing was recorded"}
		return l
	}
	l.Candidate = *m.Candidate
	return l
}

// source is where one metric comes from.
type source struct {
	name string
	read func(recorded.Options, *recorded.Problems) *recorded.Recording
	// past reads its past; nil is none.
	past func(recorded.Options, *recorded.Problems) *recorded.Recording
}

// tracks reads all metrics and their past.
func (o *Options) tracks(ctx context.Context, p *recorded.Problems) ([]*track, error) {
	sources, err := o.sources(ctx, p)
	if err != nil {
		return nil, err
	}
	var known []string
	for _, s := range sources {
		if slices.Contains(known, s.name) {
			return nil, failed("Duplicate name", "There are two metrics %q. To name one:\n  -metric NAME=FILE", s.name)
		}
		known = append(known, s.name)
	}
	for _, name := range known {
		if all := o.Policy.metrics(); o.Stage != "" && !slices.Contains(all, name) {
			return nil, failed("Unknown metric", "%s has no metric %q.%s There is %s. To name one:\n  -metric NAME=FILE", o.Stage, name, diagnostics.Suggest(name, all), names(all))
		}
	}
	if flag, name, wrong := o.Policy.unknown(known); wrong {
		return nil, failed("Unknown metric", "-%s speaks of a metric %q.%s There is %s.", flag, name, diagnostics.Suggest(name, known), names(known))
	}
	if err := o.histories(sources, p); err != nil {
		return nil, err
	}
	how := recorded.Options{Counter: o.Series == "counter", Candidate: o.Candidate, Stable: o.Stable, Label: o.Label, Interval: o.Interval}
	var out []*track
	for _, s := range sources {
		r := s.read(how, p)
		if r == nil {
			continue // its problem is told with those of the others
		}
		t := &track{metric: o.Policy.metric(s.name, r.Form), recording: r}
		if s.past != nil && t.metric.Compare != nil {
			o.learn(t, s, how, p)
		}
		out = append(out, t)
	}
	return out, nil
}

// learn reads the past of a metric.
func (o *Options) learn(t *track, s *source, how recorded.Options, p *recorded.Problems) {
	how.Past, how.Interval = true, cmp.Or(t.metric.Compare.Block, time.Minute)
	past := s.past(how, p)
	if past == nil {
		return
	}
	if past.Form != t.recording.Form {
		p.Fail(s.name, "Invalid recording", "its past holds %s, and it holds %s.", past.Form, t.recording.Form)
		return
	}
	t.metric.Compare.Past = analysis.Learn(t.metric, past.Measured())
	past.Warn()
}

// sources are the metrics that the command line names.
func (o *Options) sources(ctx context.Context, p *recorded.Problems) (out []*source, err error) {
	named := func(name, path string) error {
		if name == "" {
			return failed("Invalid value", "A metric needs a name: -metric NAME=FILE.")
		}
		f := o.file(path, p)
		out = append(out, &source{name: name, read: func(how recorded.Options, p *recorded.Problems) *recorded.Recording {
			return recorded.Read(f, how, p)
		}})
		return nil
	}
	for _, path := range o.Files {
		if err := named(nameOf(path), path); err != nil {
			return nil, err
		}
	}
	for _, m := range o.Metrics {
		name, path, ok := strings.Cut(m, "=")
		if !ok {
			name, path = nameOf(m), m
		}
		if err := named(name, path); err != nil {
			return nil, err
		}
	}
	if o.Prometheus != "" {
		asked, err := o.asked(ctx)
		return append(out, asked...), err
	}
	if o.Errors != "" {
		bad := o.file(o.Errors, p)
		var requests *recorded.File
		if o.Requests != "" {
			f := o.file(o.Requests, p)
			requests = &f
		}
		out = append(out, &source{name: errorsMetric, read: func(how recorded.Options, p *recorded.Problems) *recorded.Recording {
			return recorded.ReadCounts(requests, &bad, how, p)
		}})
	}
	return out, nil
}

// histories finds the past of metrics: of the one that is named, else of the one
// that is named like the file, else of the only one.
func (o *Options) histories(sources []*source, p *recorded.Problems) error {
	var known []string
	for _, s := range sources {
		known = append(known, s.name)
	}
	for _, h := range o.History {
		if _, isTime := o.pastTime(h); isTime {
			continue
		}
		name, path, ok := strings.Cut(h, "=")
		if !ok {
			name, path = nameOf(h), h
		}
		i := slices.Index(known, name)
		if i < 0 && !ok && len(sources) == 1 {
			i = 0
		}
		if i < 0 {
			return failed("Unknown metric", "-history=%s is the past of a metric %q.%s There is %s. To say of which:\n  -history=NAME=FILE", h, name, diagnostics.Suggest(name, known), names(known))
		}
		f := o.file(path, p)
		sources[i].past = func(how recorded.Options, p *recorded.Problems) *recorded.Recording { return recorded.Read(f, how, p) }
	}
	return nil
}

func (o *Options) file(path string, p *recorded.Problems) recorded.File {
	if path == stdin {
		return recorded.Stream("standard input", o.Env.Stdin, p)
	}
	return recorded.Path(path, o.Env.Path(path), p)
}

// nameOf is the name of a metric by its file.
func nameOf(path string) string {
	if path == stdin {
		return "metric"
	}
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}
