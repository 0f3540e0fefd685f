// Package recorded reads measurements of two releases that somebody kept: tables
// (CSV), and answers of Prometheus to a range query. It judges nothing.
//
// Read looks through a file once and finds what is wrong with it. Moments then
// gives what it holds, moment by moment, in the order of time. A table that is in
// that order is read a second time for this, and only one moment of it is held in
// memory; another one is sorted first.
//
// The time of a row is the end of the interval that it speaks of; the interval
// began at the time before. What makes no sense, or is said twice, is left out:
// the moment says why it has no data, and LeftOut counts it.
package recorded

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
)

// Form is what a recording has of each release.
type Form string

// The forms: bad ones among counted requests; bad ones alone; distributions by
// cumulative buckets; single values.
const (
	Counts    Form = "counts"
	Events    Form = "events"
	Histogram Form = "histogram"
	Samples   Form = "samples"
)

// Options say how a recording is to be read.
type Options struct {
	// Counter: the numbers are readings of counters that only grow; else they are
	// what was added since the time before.
	Counter bool
	// Candidate and Stable are the names of the releases; empty is one of the usual.
	Candidate, Stable string
	// Past: there is the stable release only.
	Past bool
	// Label names the release in an answer of Prometheus.
	Label string
	// Interval puts all that is recorded within it into one moment; 0 is each time
	// for itself.
	Interval time.Duration
}

// usual names of the two releases.
var (
	candidates = []string{"candidate", "canary"}
	stables    = []string{"stable", "baseline", "primary"}
)

// Moment is what was measured of both releases in one window.
type Moment struct {
	// T is the end of the window, in seconds as in the file.
	T        float64
	From, To time.Time
	// Candidate and Stable are nil where there is no row.
	Candidate, Stable *metrics.Release
	// LeftOut counts the rows that make no sense.
	LeftOut int
}

// Recording is one metric's data.
type Recording struct {
	Form Form
	// Rows is how many there are, of all releases.
	Rows int

	options  Options
	name     string
	problems *Problems
	releases []string
	// roles are the releases by their place in releases: 0 the candidate, 1 stable.
	roles []int8
	// each is what gives the rows in the order of time; it is false when that was
	// ended by a problem.
	each  func(yield func(row) bool) bool
	left  map[string]*left
	order []string
}

// row is one line of a table, or one value of an answer.
type row struct {
	t, le   float64
	v       [2]float64
	release int32
	// series tells counters apart that belong to one release.
	series int32
	line   int32
	has    [2]bool
}

// MostTime is the last moment of a recording, in seconds.
const MostTime = 1e11

const (
	// mostReleases is how many a recording may have.
	mostReleases = 1000
	// exact is the largest number that counts exactly.
	exact = 1 << 53
)

// Read looks through a table or an answer; it is nil when something is wrong.
func Read(f File, o Options, p *Problems) *Recording {
	if p.Failed() {
		return nil
	}
	r := newRecording(f.Name, o, p)
	if f.answer() {
		content, ok := f.content(p)
		if !ok {
			return nil
		}
		a := answer{recording: r, name: f.Name, content: content, role: values}
		return r.ofAnswers(&a)
	}
	return r.ofTable(f)
}

// ReadCounts looks through two answers of Prometheus: how many requests there were,
// and how many of them were bad. Without requests there are bad ones alone.
func ReadCounts(requests, errors *File, o Options, p *Problems) *Recording {
	if p.Failed() {
		return nil
	}
	r := newRecording(errors.Name, o, p)
	r.Form = Events
	var all []*answer
	if requests != nil {
		r.Form = Counts
		content, ok := requests.content(p)
		if !ok {
			return nil
		}
		all = append(all, &answer{recording: r, name: requests.Name, content: content, role: ofRequests})
	}
	content, ok := errors.content(p)
	if !ok {
		return nil
	}
	return r.ofAnswers(append(all, &answer{recording: r, name: errors.Name, content: content, role: ofErrors})...)
}

func newRecording(name string, o Options, p *Problems) *Recording {
	return &Recording{name: name, options: o, problems: p, left: map[string]*left{}}
}

// release is the place of a name among the releases; false when there are too many.
func (r *Recording) release(name string) (int32, bool) {
	if i := slices.Index(r.releases, name); i >= 0 {
		return int32(i), true
	}
	if len(r.releases) == mostReleases {
		return 0, false
	}
	r.releases = append(r.releases, strings.Clone(name))
	return int32(len(r.releases) - 1), true
}

// cast says which release is which; false with a problem when one is not there.
func (r *Recording) cast() bool {
	r.roles = make([]int8, len(r.releases))
	for i := range r.roles {
		r.roles[i] = -1
	}
	find := func(role int8, flag, given string, usual []string) bool {
		for _, name := range usual {
			if i := slices.Index(r.releases, name); i >= 0 && r.roles[i] < 0 {
				r.roles[i] = role
				return true
			}
		}
		if r.options.Past && given == "" && len(r.releases) == 1 {
			r.roles[0] = role
			return true
		}
		wanted := "named " + strings.Join(quoted(usual), " or ")
		r.problems.Fail(r.name, "Unknown release", "there is no release %s; there is %s.%s To name it:\n  -%s=NAME",
			wanted, list(r.releases), diagnostics.Suggest(usual[0], r.releases), flag)
		return false
	}
	ok := r.options.Past || find(0, "candidate", r.options.Candidate, named(r.options.Candidate, candidates))
	return find(1, "stable", r.options.Stable, named(r.options.Stable, stables)) && ok
}

func named(given string, usual []string) []string {
	if given != "" {
		return []string{given}
	}
	return usual
}

func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fmt.Sprintf("%q", n)
	}
	return out
}

// list names some, and says how many more there are.
func list(names []string) string {
	const most = 5
	if len(names) == 0 {
		return "none"
	}
	text := strings.Join(quoted(names[:min(len(names), most)]), ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

// role of a row: 0 candidate, 1 stable, -1 neither.
func (r *Recording) role(x *row) int8 { return r.roles[x.release] }

// sorted makes rows from memory the source, in the order of time.
func (r *Recording) sorted(rows []row) {
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.t, b.t) })
	r.each = func(yield func(row) bool) bool {
		for _, x := range rows {
			if !yield(x) {
				break
			}
		}
		return true
	}
}

// Moments gives what was measured in the order of time. It ends early when
// something is wrong, and the problems say what. To be asked once.
func (r *Recording) Moments() iter.Seq[Moment] {
	return func(yield func(Moment) bool) {
		g := &gatherer{recording: r, yield: yield}
		if r.each(g.add) && !g.stopped {
			g.end()
		}
	}
}

// Measured is the past of the stable release, as analysis.Learn takes it.
func (r *Recording) Measured() (out []analysis.Measured) {
	for m := range r.Moments() {
		if m.Stable != nil {
			out = append(out, analysis.Measured{From: m.From, To: m.To, Release: *m.Stable})
		}
	}
	return out
}

// Time is one of a recording as one of the calendar.
func Time(seconds float64) time.Time {
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(math.Round(part*1e6))*1000).UTC()
}
