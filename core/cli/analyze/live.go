package analyze

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/analyze/recorded"
	"github.com/runner-pipelines/runner/core/lang"
)

const (
	// patience is how long Prometheus may take for one answer.
	patience = 2 * time.Minute
	// mostSteps is how many values of a series Prometheus gives at a time.
	mostSteps = 11_000
)

// pastTime is -history as a time before -from.
func (o *Options) pastTime(h string) (time.Duration, bool) {
	if o.Prometheus == "" {
		return 0, false
	}
	d, err := lang.ParseDuration(h)
	return d, err == nil && d > 0
}

// asked are the metrics that Prometheus is asked for.
func (o *Options) asked(ctx context.Context) ([]*source, error) {
	base, err := url.Parse(o.Prometheus)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, failed("Invalid value", "-prometheus should be an address, such as http://prometheus:9090.")
	}
	to := o.To.Time
	if to.IsZero() {
		to = time.Now()
	}
	past := time.Duration(0)
	for _, h := range o.History {
		if d, ok := o.pastTime(h); ok {
			past = d
		}
	}
	for what, length := range map[string]time.Duration{"-from and -to": to.Sub(o.From.Time), "-history": past} {
		switch {
		case length < 0 || length == 0 && what != "-history":
			return nil, failed("Invalid value", "-from must be before -to.")
		case length/o.Step >= mostSteps:
			return nil, failed("Invalid value", "%s: %s in steps of %s are more than %d values, which Prometheus does not give at once. A longer -step helps.", what, length, o.Step, mostSteps)
		}
	}
	q := querier{ctx: ctx, base: base, step: o.Step, client: &http.Client{Timeout: patience}}
	var out []*source
	add := func(name string, read func(from, to time.Time, how recorded.Options, p *recorded.Problems) *recorded.Recording) {
		s := &source{name: name, read: func(how recorded.Options, p *recorded.Problems) *recorded.Recording {
			return read(o.From.Time, to, how, p)
		}}
		if past > 0 {
			s.past = func(how recorded.Options, p *recorded.Problems) *recorded.Recording {
				return read(o.From.Add(-past), o.From.Time, how, p)
			}
		}
		out = append(out, s)
	}
	if o.Errors != "" {
		add(errorsMetric, func(from, to time.Time, how recorded.Options, p *recorded.Problems) *recorded.Recording {
			bad := q.answer("-errors", o.Errors, from, to, p)
			var requests *recorded.File
			if o.Requests != "" {
				f := q.answer("-requests", o.Requests, from, to, p)
				requests = &f
			}
			return recorded.ReadCounts(requests, &bad, how, p)
		})
	}
	for _, single := range []struct{ name, flag, query string }{{latencyMetric, "-buckets", o.Buckets}, {valuesMetric, "-values", o.Values}} {
		if single.query != "" {
			add(single.name, func(from, to time.Time, how recorded.Options, p *recorded.Problems) *recorded.Recording {
				return recorded.Read(q.answer(single.flag, single.query, from, to, p), how, p)
			})
		}
	}
	return out, nil
}

// querier asks one Prometheus.
type querier struct {
	ctx    context.Context
	base   *url.URL
	step   time.Duration
	client *http.Client
}

// answer asks for a range of time; its problems are told under the option's name.
func (q *querier) answer(name, query string, from, to time.Time, p *recorded.Problems) recorded.File {
	at := q.base.JoinPath("api/v1/query_range")
	seconds := func(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }
	at.RawQuery = url.Values{
		"query": {query}, "start": {seconds(float64(from.UnixMilli()) / 1000)}, "end": {seconds(float64(to.UnixMilli()) / 1000)}, "step": {seconds(q.step.Seconds())},
	}.Encode()
	failed := func(err error) recorded.File {
		p.Fail(name, "Query failed", "%s.", err)
		return recorded.File{Name: name}
	}
	req, err := http.NewRequestWithContext(q.ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return failed(err)
	}
	res, err := q.client.Do(req)
	if err != nil {
		// The address is known; what it was asked is long.
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = fmt.Errorf("%s could not be asked: %w", q.base.Redacted(), wrapped.Err)
		}
		return failed(err)
	}
	defer res.Body.Close()
	isJSON := strings.HasPrefix(res.Header.Get("Content-Type"), "application/json")
	if res.StatusCode != http.StatusOK && !isJSON {
		return failed(fmt.Errorf("%s answered %q", q.base.Redacted(), res.Status))
	}
	return recorded.Stream(name, res.Body, p)
}
