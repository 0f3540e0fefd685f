package recorded_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/runner-pipelines/runner/core/cli/analyze/recorded"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/sdk/metrics"
)

var update = flag.Bool("update", false, "write the messages in place of comparing them")

// texts is what a recording holds, a line a moment.
func texts(t *testing.T, r *recorded.Recording, p *recorded.Problems) []string {
	t.Helper()
	if r == nil || p.Failed() {
		t.Fatalf("it cannot be read: %v", p.Diags)
	}
	var out []string
	for m := range r.Moments() {
		line := fmt.Sprintf("%g after %s: %s | %s", m.T, m.To.Sub(m.From), text(m.Candidate), text(m.Stable))
		if m.LeftOut > 0 {
			line += fmt.Sprintf(" (%d left out)", m.LeftOut)
		}
		out = append(out, line)
	}
	if p.Failed() {
		t.Fatalf("the moments: %v", p.Diags)
	}
	return out
}

func text(r *metrics.Release) string {
	switch {
	case r == nil:
		return "-"
	case r.Counter != nil:
		return fmt.Sprintf("%d of %d", r.Counter.Events, r.Counter.N)
	case r.Histogram != nil:
		return fmt.Sprintf("%v %v", r.Histogram.Bounds, r.Histogram.Counts)
	case r.Samples != nil:
		return fmt.Sprint(r.Samples)
	}
	return "no data: " + r.NoData
}

func read(content string, o recorded.Options) (*recorded.Recording, *recorded.Problems) {
	p := &recorded.Problems{}
	return recorded.Read(recorded.Bytes("data", []byte(content), p), o, p), p
}

func TestMoments(t *testing.T) {
	for name, tt := range map[string]struct {
		options recorded.Options
		in      string
		want    []string
	}{
		"counts": {in: "t_seconds,release,requests,errors\n60,candidate,100,1\n60,stable,200,2\n120,candidate,101,0\n120,stable,201,3\n", want: []string{
			"60 after 1m0s: 1 of 100 | 2 of 200", "120 after 1m0s: 0 of 101 | 3 of 201",
		}},
		"columns in another order, a comment, spaces, a byte order mark, other names": {
			in:   "\ufeff# kept on Monday\r\nErrors, requests,release,t_seconds\r\n1, 100,canary,60\r\n2,200,baseline,60\r\n",
			want: []string{"60 after 1m0s: 1 of 100 | 2 of 200"},
		},
		"one time alone is as long as an interval": {options: recorded.Options{Interval: 5 * time.Minute},
			in: "t_seconds,release,requests,errors\n300,candidate,1,0\n300,stable,1,0\n", want: []string{"300 after 5m0s: 0 of 1 | 0 of 1"}},
		"other releases do not matter": {in: "t_seconds,release,requests,errors\n60,old,7,7\n60,candidate,1,0\n60,stable,2,0\n", want: []string{"60 after 1m0s: 0 of 1 | 0 of 2"}},
		"named releases":               {options: recorded.Options{Candidate: "v2", Stable: "v1"}, in: "t_seconds,release,requests,errors\n60,v1,1,0\n60,v2,2,0\n", want: []string{"60 after 1m0s: 0 of 2 | 0 of 1"}},
		"a gap belongs to what comes after it": {in: "t_seconds,release,requests,errors\n60,candidate,1,0\n60,stable,1,0\n120,candidate,1,0\n120,stable,1,0\n600,candidate,9,0\n600,stable,9,0\n", want: []string{
			"60 after 1m0s: 0 of 1 | 0 of 1", "120 after 1m0s: 0 of 1 | 0 of 1", "600 after 8m0s: 0 of 9 | 0 of 9",
		}},
		"not measured": {in: "t_seconds,release,requests,errors\n60,candidate,,\n60,stable,5,\n120,stable,5,0\n", want: []string{
			"60 after 1m0s: no data: requests is empty | no data: errors is empty", "120 after 1m0s: - | 0 of 5",
		}},
		"what makes no sense": {in: "t_seconds,release,requests,errors\n60,candidate,NaN,0\n60,stable,5,-1\n120,candidate,5,0\n120,candidate,6,0\n120,stable,+Inf,1e999\n180,candidate,1,2\nNaN,stable,1,0\n180,stable,5,0\n", want: []string{
			"60 after 1m0s: no data: requests of NaN make no sense | no data: errors of -1 make no sense (2 left out)",
			"120 after 1m0s: 0 of 5 | no data: requests of +Inf make no sense (2 left out)",
			"180 after 1m0s: 2 of 1 | 0 of 5 (1 left out)",
		}},
		"an interval adds up, and unites clocks that differ": {options: recorded.Options{Interval: time.Minute},
			in: "t_seconds,release,requests,errors\n20.1,candidate,10,1\n20.3,stable,10,0\n40.1,candidate,10,1\n40.3,stable,10,0\n60,candidate,10,0\n60,stable,10,0\n90.1,candidate,1,0\n100,stable,1,0\n", want: []string{
				"60 after 1m0s: 2 of 30 | 0 of 30", "120 after 1m0s: 0 of 1 | 0 of 1",
			}},
		"fractions are kept until they are whole": {in: "t_seconds,release,requests,errors\n60,candidate,1.5,0.4\n60,stable,10,0\n120,candidate,1.5,0.4\n120,stable,10,0\n180,candidate,1.5,0.4\n180,stable,10,0\n", want: []string{
			"60 after 1m0s: 0 of 2 | 0 of 10", "120 after 1m0s: 1 of 1 | 0 of 10", "180 after 1m0s: 0 of 2 | 0 of 10",
		}},
		"counters, and one that begins again": {options: recorded.Options{Counter: true},
			in: "t_seconds,release,requests,errors\n0,candidate,1000,10\n0,stable,5000,50\n60,candidate,1100,11\n60,stable,5200,52\n120,candidate,40,3\n120,stable,5400,52\n", want: []string{
				"60 after 1m0s: 1 of 100 | 2 of 200", "120 after 1m0s: 3 of 40 | 0 of 200",
			}},
		"bad events alone": {in: "t_seconds,release,errors\n60,candidate,3\n60,stable,1\n", want: []string{"60 after 1m0s: 3 of 0 | 1 of 0"}},
		"single values":    {in: "t_seconds,release,value\n60,candidate,0.1\n60,candidate,0.1\n60,stable,NaN\n60,stable,0.2\n", want: []string{"60 after 1m0s: [0.1 0.1] | [NaN 0.2] (1 left out)"}},
		"a histogram, its buckets in any order": {in: "t_seconds,release,le,count\n60,candidate,+Inf,10\n60,candidate,0.1,4\n60,candidate,0.5,9\n60,stable,0.1,1\n60,stable,0.5,2\n60,stable,inf,2\n", want: []string{
			"60 after 1m0s: [0.1 0.5] [4 5 1] | [0.1 0.5] [1 1 0]",
		}},
		"a histogram of counters": {options: recorded.Options{Counter: true},
			in: "t_seconds,release,le,count\n0,candidate,1,5\n0,candidate,+Inf,7\n0,stable,1,1\n0,stable,+Inf,1\n60,candidate,1,9\n60,candidate,+Inf,12\n60,stable,1,3\n60,stable,+Inf,3\n", want: []string{
				"60 after 1m0s: [1] [4 1] | [1] [2 0]",
			}},
		"an answer of Prometheus: single values": {in: `{"status":"success","data":{"resultType":"matrix","result":[
			{"metric":{"release":"candidate","pod":"a"},"values":[[60,"0.5"],[120,"NaN"]]},
			{"metric":{"release":"candidate","pod":"b"},"values":[[60,"0.7"]]},
			{"metric":{"release":"stable"},"values":[[60,"0.1"],[120,"0.2"]]}]}}`,
			options: recorded.Options{Label: "release"}, want: []string{"60 after 1m0s: [0.5 0.7] | [0.1]", "120 after 1m0s: [NaN] | [0.2] (1 left out)"}},
		"an answer of Prometheus: buckets of two processes": {in: `{"data":{"result":[
			{"metric":{"v":"candidate","pod":"a","le":"0.1"},"values":[[60.5,"1"]]},{"metric":{"v":"candidate","pod":"a","le":"+Inf"},"values":[[60.5,"3"]]},
			{"metric":{"v":"candidate","pod":"b","le":"0.1"},"values":[[60.5,"10"]]},{"metric":{"v":"candidate","pod":"b","le":"+Inf"},"values":[[60.5,"30"]]},
			{"values":[[60.5,"2"]],"metric":{"v":"stable","le":"0.1"}},{"metric":{"v":"stable","le":"+Inf"},"values":[[60.5,"2"]]}],"resultType":"matrix"},"status":"success","warnings":["x"]}`,
			options: recorded.Options{Label: "v"}, want: []string{"60.5 after 1m0s: [0.1] [11 22] | [0.1] [2 0]"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, p := read(tt.in, tt.options)
			if diff := cmp.Diff(tt.want, texts(t, r, p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Two queries, whose series have other labels: one adds them up.
func TestCountsOfTwoAnswers(t *testing.T) {
	series := func(rows ...string) string {
		return `{"status":"success","data":{"resultType":"matrix","result":[` + strings.Join(rows, ",") + "]}}"
	}
	requests := series(`{"metric":{"release":"candidate","pod":"a"},"values":[[60,"10"],[120,"30"],[180,"60"]]}`,
		`{"metric":{"release":"candidate","pod":"b"},"values":[[60,"100"],[120,"5"],[180,"10"]]}`,
		`{"metric":{"release":"stable"},"values":[[60,"7"],[120,"17"],[180,"27"]]}`)
	bad := series(`{"metric":{"release":"candidate","code":"500"},"values":[[60,"1"],[120,"3"],[180,"3"]]}`,
		`{"metric":{"release":"candidate","code":"502"},"values":[[60,"1"],[120,"2"],[180,"2"]]}`,
		`{"metric":{"release":"stable"},"values":[[60,"0"],[120,"0"]]}`)
	p := &recorded.Problems{}
	first, second := recorded.Bytes("requests", []byte(requests), p), recorded.Bytes("errors", []byte(bad), p)
	r := recorded.ReadCounts(&first, &second, recorded.Options{Label: "release", Counter: true}, p)
	missing := "there are requests and no count of errors; where that means none, let the query of errors end with: or 0 * (the query of requests)"
	want := []string{"120 after 1m0s: 3 of 25 | 0 of 10", "180 after 1m0s: 0 of 35 | no data: " + missing}
	if diff := cmp.Diff(want, texts(t, r, p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Rows may come in any order, and as counters: the moments are the same.
func TestOrderDoesNotMatter(t *testing.T) {
	d := rand.New(rand.NewPCG(1, 2))
	const head = "t_seconds,release,requests,errors"
	var rows, counters []string
	sums := map[string][2]int{}
	for i := range 200 {
		for _, release := range []string{"candidate", "stable"} {
			n, x := d.IntN(100), d.IntN(3)
			x = min(x, n)
			s := sums[release]
			if i == 0 {
				n, x = 0, 0
			}
			s[0], s[1] = s[0]+n, s[1]+x
			sums[release] = s
			if i > 0 {
				rows = append(rows, fmt.Sprintf("%d,%s,%d,%d", i*15, release, n, x))
			}
			counters = append(counters, fmt.Sprintf("%d,%s,%d,%d", i*15, release, s[0], s[1]))
		}
	}
	for _, interval := range []time.Duration{0, time.Minute} {
		all := func(rows []string, o recorded.Options) []string {
			o.Interval = interval
			r, p := read(head+"\n"+strings.Join(rows, "\n")+"\n", o)
			return texts(t, r, p)
		}
		want := all(rows, recorded.Options{})
		if len(want) < 49 {
			t.Fatalf("%d moments", len(want))
		}
		shuffled := slices.Clone(rows)
		d.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(want, all(shuffled, recorded.Options{})); diff != "" {
			t.Errorf("in another order, interval %s (-want +got):\n%s", interval, diff)
		}
		if interval > 0 {
			continue // the counters' first reading has an interval for itself
		}
		if diff := cmp.Diff(want, all(counters, recorded.Options{Counter: true})); diff != "" {
			t.Errorf("as counters (-want +got):\n%s", diff)
		}
	}
}

func TestPast(t *testing.T) {
	var b strings.Builder
	b.WriteString("t_seconds,release,requests,errors\n")
	for i := range 120 {
		fmt.Fprintf(&b, "%d,v1,10,%d\n", 30*(i+1), i%2)
	}
	r, p := read(b.String(), recorded.Options{Past: true, Interval: time.Minute})
	if r == nil {
		t.Fatal(p.Diags)
	}
	got := r.Measured()
	if len(got) != 60 || got[7].Release.Counter.N != 20 || got[7].Release.Counter.Events != 1 || got[7].To.Sub(got[7].From) != time.Minute {
		t.Errorf("%d windows, the eighth is %+v", len(got), got[7])
	}
}

// What cannot be read is told with file, line and column. An input lies beside what
// is said of it; the name of the file decides how it is read.
func TestWrong(t *testing.T) {
	files, err := filepath.Glob("testdata/wrong/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil || len(a.Files) != 2 {
				t.Fatalf("%d files, %v", len(a.Files), err)
			}
			p := &recorded.Problems{}
			in := a.Files[0]
			o := recorded.Options{Label: "release", Counter: strings.Contains(in.Name, "counter")}
			r := recorded.Read(recorded.Bytes(in.Name, in.Data, p), o, p)
			if r != nil {
				for range r.Moments() {
					continue
				}
			}
			var got bytes.Buffer
			if err := diagnostics.Write(&got, diagnostics.Tidy(p.Diags), p.Files); err != nil {
				t.Fatal(err)
			}
			for _, d := range p.Diags {
				if d.Subject != nil {
					fmt.Fprintf(&got, "column %d\n", d.Subject.Start.Column)
				}
			}
			if !p.Failed() {
				t.Error("it was read")
			}
			if *update {
				a.Files[1].Data = got.Bytes()
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(a.Files[1].Data), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFilesThatAreNone(t *testing.T) {
	for name, path := range map[string]string{"a folder": t.TempDir(), "nothing": filepath.Join(t.TempDir(), "x.csv")} {
		p := &recorded.Problems{}
		if recorded.Read(recorded.Path("x", path, p), recorded.Options{}, p) != nil || !p.Failed() {
			t.Errorf("%s was read", name)
		}
	}
	if r, p := read("t_seconds,release,requests,errors\n"+strings.Repeat("1", 100_000), recorded.Options{}); r != nil || p.Diags[0].Subject.Start.Line != 2 {
		t.Errorf("a line without an end: %v", p.Diags)
	}
	// On the disk, and larger than what is read at once.
	var b strings.Builder
	b.WriteString("t_seconds,release,requests,errors\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "%d,candidate,10,1\n%d,stable,10,0\n", i+1, i+1)
	}
	path := filepath.Join(t.TempDir(), "long.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &recorded.Problems{}
	r := recorded.Read(recorded.Path("long.csv", path, p), recorded.Options{Interval: time.Minute}, p)
	if got := texts(t, r, p); len(got) != 334 || r.Rows != 40_000 || r.LeftOut() != 0 {
		t.Errorf("%d moments of %d rows, %d left out", len(got), r.Rows, r.LeftOut())
	}
}

// FuzzRead: whatever is read, no number that makes no sense comes of it, and time
// goes forward.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"t_seconds,release,requests,errors\n60,candidate,100,1\n60,stable,200,2\n120,candidate,NaN,\n120,stable,1e999,-1\n",
		"t_seconds,release,errors\n60,candidate,3\n1e-300,stable,1\n-1e11,stable,1\n",
		"t_seconds,release,le,count\n60,candidate,+Inf,10\n60,candidate,0.1,4\n60,stable,0.1,1\n60,stable,inf,2\n",
		"t_seconds,release,value\n60,candidate,0.1\n60,stable,NaN\n\"60\",\"sta\"\"ble\",1\n",
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"release":"candidate"},"values":[[60,"0.5"],[1e300,"NaN"]]},{"metric":{"release":"stable","le":"1"},"values":[[60.001,"3"]]}]}}`,
		`{"status":"error","errorType":"bad_data","error":"parse error"}`, "[1]", "{", "", "\ufeff#\n",
	} {
		f.Add([]byte(seed), false, int64(0))
		f.Add([]byte(seed), true, int64(time.Minute))
	}
	f.Fuzz(func(t *testing.T, content []byte, counter bool, interval int64) {
		p := &recorded.Problems{}
		o := recorded.Options{Counter: counter, Label: "release", Interval: time.Duration(max(interval, 0))}
		r := recorded.Read(recorded.Bytes("data", content, p), o, p)
		if (r == nil) != p.Failed() {
			t.Fatalf("recording %v, problems %v", r, p.Diags)
		}
		if r == nil {
			return
		}
		var last recorded.Moment
		for m := range r.Moments() {
			if !last.To.IsZero() && (m.To.Before(last.To) || m.T <= last.T) {
				t.Fatalf("%v after %v", m.T, last.T)
			}
			if m.To.Before(m.From) {
				t.Fatalf("from %s to %s", m.From, m.To)
			}
			for _, x := range []*metrics.Release{m.Candidate, m.Stable} {
				check(t, x)
			}
			last = m
		}
	})
}

func check(t *testing.T, x *metrics.Release) {
	switch {
	case x == nil:
	case x.Counter != nil && (x.Counter.N < 0 || x.Counter.Events < 0):
		t.Fatalf("%+v", *x.Counter)
	case x.Histogram != nil:
		h := x.Histogram
		if len(h.Counts) != len(h.Bounds)+1 || slices.Min(h.Counts) < 0 || !slices.IsSorted(h.Bounds) {
			t.Fatalf("%+v", *h)
		}
	}
}
