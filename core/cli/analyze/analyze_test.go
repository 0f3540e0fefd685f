package analyze

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli/analyze/recorded"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/internal/worlds"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// ask runs the command and gives its exit code and what it wrote.
func ask(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, problems bytes.Buffer
	env := &command.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &problems, Dir: dir}
	code = command.Dispatch(t.Context(), env, []*command.Command{New(env, nil)}, append([]string{"analyze"}, args...))
	return code, out.String(), problems.String()
}

// summaryOf is the last line of a replay.
func summaryOf(t *testing.T, out string) summary {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var s summary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
		t.Fatalf("%v in %s", err, lines[len(lines)-1])
	}
	return s
}

// Options reach the metrics that they speak of.
func TestPolicy(t *testing.T) {
	var o *Options
	env := &command.Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}
	c := New(env, func(_ context.Context, got *Options) error {
		o = got
		return nil
	})
	args := strings.Fields("analyze replay a.csv -alpha=1% -tolerance=0.2 -tolerance=latency=50% -margin=2 -margin-abs=0.5pp -margin-abs=latency=0.02 -better=load=higher " +
		"-block=2m -weight=3 -min-count=latency=7 -max=load=0.9 -quantile=latency=0.9 -critical=latency -bake=1d -share=5")
	if code := command.Dispatch(t.Context(), env, []*command.Command{c}, args); code != command.OK {
		t.Fatalf("exit code %d: %s", code, env.Stderr)
	}
	if o.Policy.alpha != 0.01 || o.Policy.share != 0.05 || o.Bake != 24*time.Hour {
		t.Errorf("alpha %v, share %v, bake %s", o.Policy.alpha, o.Policy.share, o.Bake)
	}
	for name, want := range map[string]string{
		"latency": "lower 0.5 0 0.02 2m0s 3 7 0.9 true <nil>",
		"rate":    "lower 0.2 2 0.005 2m0s 3 0 0 false <nil>",
	} {
		m := o.Policy.metric(name, recorded.Counts)
		limit := "<nil>"
		if m.Max != nil {
			limit = fmt.Sprint(*m.Max)
		}
		c := m.Compare
		got := fmt.Sprint(m.Better, " ", c.Tolerance, c.Margin, c.MarginAbs, c.Block, c.Weight, m.MinCount, m.Quantile, c.Critical, " ", limit)
		if diff := cmp.Diff(strings.ReplaceAll(want, " ", ""), strings.ReplaceAll(got, " ", "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	// A limit alone is no comparison, but for events that have no other meaning.
	if m := o.Policy.metric("load", recorded.Counts); m.Compare != nil || *m.Max != 0.9 || m.Better != "higher" {
		t.Errorf("a limit alone: %+v", m)
	}
	if m := o.Policy.metric("load", recorded.Events); m.Compare == nil || !m.Compare.Rate {
		t.Errorf("a limit of events: %+v", m)
	}
	var p policy
	p.flags(flag.NewFlagSet("", flag.ContinueOnError))
	if c := p.metric("x", recorded.Counts).Compare; c.Margin != 1.5 || c.MarginAbs != 0.005 {
		t.Errorf("without margins: %+v", c)
	}
	if err := p.margin.Set("3"); err != nil {
		t.Fatal(err)
	}
	if c := p.metric("x", recorded.Counts).Compare; c.Margin != 3 || c.MarginAbs != 0 {
		t.Errorf("who says one margin means that one: %+v", c)
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range []string{
		"", "replya x.csv", "replay", "replay a.csv -series=sum", "replay a.csv -runs=3", "replay -requests=a.json", "replay a.csv -from=2h",
		"replay -prometheus=http://p", "replay -prometheus=http://p -errors=e", "replay a.csv -tolerance=-1", "replay a.csv -margin=1", "replay a.csv -margin-abs=101%", "replay a.csv -alpha=0.6", "replay a.csv -quantile=1",
		"replay a.csv -alpha=0", "replay a.csv -better=up", "replay a.csv -block=0s", "replay a.csv -weight=0", "replay a.csv -min-count=0", "replay a.csv -interval=-1s",
		"replay a.csv -tolerance=NaN", "replay a.csv -share=100",
		"simulate", "simulate -requests=100/min", "simulate -requests=100/week -errors=1%", "simulate -requests=0/min -errors=1%", "simulate -requests=1/min -errors=101%",
		"simulate -requests=100/min -errors=1% x", "simulate -requests=100/min -errors=20% -times=6", "simulate -requests=100/min -errors=1% -dispersion=60",
		"simulate -requests=100/min -errors=1% -dispersion=0.5", "simulate -requests=100/min -errors=1% -runs=0", "simulate -requests=100/min -errors=1% -for=90s",
		"simulate -requests=100/min -errors=1% -interval=7s", "simulate -requests=100/min -errors=1% -past=-1h", "simulate -requests=100/min -errors=1% -times=NaN",
		"simulate -requests=100/min -errors=1% -history=x", "simulate -requests=100/min -errors=1% -tolerance=latency=1", "simulate -requests=100/min -errors=1% -critical=errors",
	} {
		code, out, problems := ask(t, t.TempDir(), strings.Fields(args)...)
		if code != command.Failed || out != "" || !strings.HasPrefix(problems, "Error: Wrong use of the command line\n") {
			t.Errorf("%q: exit code %d\n%s%s", args, code, out, problems)
		}
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMistakesThatTheFilesShow(t *testing.T) {
	dir := t.TempDir()
	table := "t_seconds,release,requests,errors\n60,candidate,100,0\n60,stable,100,0\n"
	write(t, dir, "errors.csv", table)
	write(t, dir, "latency.csv", "t_seconds,release,value\n60,stable,1\n")
	for args, want := range map[string]string{
		"errors.csv -tolerance=erors=1":                     `a metric "erors". Did you mean "errors"?`,
		"errors.csv -metric=errors=errors.csv":              "There are two metrics",
		"errors.csv -metric==errors.csv":                    "A metric needs a name",
		"errors.csv -metric=b=errors.csv -history=x":        "-history=NAME=FILE",
		"errors.csv -history=nosuch.csv":                    "File not found",
		"errors.csv -history=latency.csv":                   "its past holds samples",
		"errors.csv -began=soon":                            "-began=soon should be a number",
		"-prometheus=p:9090 -errors=x -from=1h":             "http://prometheus:9090",
		"-prometheus=http://p -errors=x -from=10d -step=1s": "A longer -step helps",
		"-prometheus=http://p -errors=x -from=1h -to=2h":    "-from must be before -to",
		"-prometheus=http://127.0.0.1:1 -errors=x -from=1h": "could not be asked",
		"-requests=nosuch.json -errors=errors.csv":          "File not found",
		"-errors=errors.csv":                                "Invalid Prometheus answer",
	} {
		code, _, problems := ask(t, dir, append([]string{"replay"}, strings.Fields(args)...)...)
		if code != command.Failed || !strings.Contains(problems, want) {
			t.Errorf("%s: exit code %d\n%s", args, code, problems)
		}
	}
}

// Steps begin anew, harm goes on; a bake holds back.
func TestStepsAndBake(t *testing.T) {
	var b strings.Builder
	b.WriteString("t_seconds,release,requests,errors\n")
	for i := 1; i <= 60; i++ {
		fmt.Fprintf(&b, "%d,candidate,1000,5\n%d,stable,1000,5\n", i*60, i*60)
	}
	dir := t.TempDir()
	write(t, dir, "errors.csv", b.String())
	at := func(args ...string) (float64, int) {
		code, out, problems := ask(t, dir, append([]string{"replay", "-json", "errors.csv"}, args...)...)
		if problems != "" {
			t.Fatal(problems)
		}
		return summaryOf(t, out).At, code
	}
	first, code := at()
	if code != command.OK || first >= 3600 {
		t.Errorf("passed at %v, exit code %d", first, code)
	}
	if got, code := at("-bake=45m"); got != 45*60 || code != command.OK {
		t.Errorf("with a bake of 45 minutes passed at %v, exit code %d", got, code)
	}
	if got, code := at("-bake=2h"); got != 3600 || code != command.Waiting {
		t.Errorf("with a bake of two hours: %v, exit code %d", got, code)
	}
	if got, code := at("-began=1200"); got != 1200+first || code != command.OK {
		t.Errorf("the step that began at 1200 passed at %v, exit code %d", got, code)
	}
	if got, code := at("-began=3540"); got != 3600 || code != command.Waiting {
		t.Errorf("the step that began at the end: %v, exit code %d", got, code)
	}
}

// prometheus answers range queries by their text.
func prometheus(t *testing.T, series map[string]func(t float64) map[string]float64) *httptest.Server {
	t.Helper()
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		of, ok := series[q.Get("query")]
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/prom/api/v1/query_range" || !ok {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"status":"error","errorType":"bad_data","error":"no such query %s"}`, url.QueryEscape(q.Get("query")))
			return
		}
		var from, to, step float64
		for name, v := range map[string]*float64{"start": &from, "end": &to, "step": &step} {
			if _, err := fmt.Sscan(q.Get(name), v); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		values := map[string][]string{}
		for at := from; at <= to; at += step {
			for release, v := range of(at) {
				values[release] = append(values[release], fmt.Sprintf(`[%f,"%g"]`, at, v))
			}
		}
		var all []string
		for release, v := range values {
			all = append(all, fmt.Sprintf(`{"metric":{"version":%q},"values":[%s]}`, release, strings.Join(v, ",")))
		}
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`, strings.Join(all, ","))
	}))
}

// Prometheus is asked for the rollout and for its past.
func TestPrometheus(t *testing.T) {
	begin := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	both := func(candidate, stable func(minute float64) float64) func(float64) map[string]float64 {
		return func(at float64) map[string]float64 {
			minute := math.Round((at - float64(begin.Unix())) / 60)
			if minute <= 0 {
				return map[string]float64{"v1": stable(minute)}
			}
			return map[string]float64{"v1": stable(minute), "v2": candidate(minute)}
		}
	}
	is := func(v float64) func(float64) float64 { return func(float64) float64 { return v } }
	steady := func(minute float64) float64 { return 8 + math.Mod(minute*minute*7+7000, 5) }
	server := prometheus(t, map[string]func(float64) map[string]float64{
		"requests": both(is(200), is(2000)),
		"bad":      both(is(3), steady),
		"good":     both(is(1), steady),
	})
	defer server.Close()
	args := func(errors string, more ...string) []string {
		return append([]string{"replay", "-json", "-prometheus=" + server.URL + "/prom", "-requests=requests", "-errors=" + errors, "-label=version", "-candidate=v2", "-stable=v1",
			"-from=" + begin.Format(time.RFC3339), "-to=" + begin.Add(time.Hour).Format(time.RFC3339)}, more...)
	}
	code, out, problems := ask(t, "", args("bad", "-history=24h")...)
	known := summaryOf(t, out)
	if code != command.RolledBack || problems != "" || known.Decision != "fail" {
		t.Fatalf("exit code %d: %+v\n%s", code, known, problems)
	}
	code, out, _ = ask(t, "", args("bad")...)
	if unknown := summaryOf(t, out); code != command.RolledBack || unknown.At <= known.At {
		t.Errorf("without a past: exit code %d at %v, with one at %v", code, unknown.At, known.At)
	}
	if code, out, problems = ask(t, "", args("good", "-history=24h")...); code != command.OK {
		t.Errorf("a good one: exit code %d\n%s%s", code, out, problems)
	}
	if code, _, problems = ask(t, "", args("other")...); code != command.Failed || !strings.Contains(problems, "-errors: Prometheus answered with an error (bad_data): no such query other.") {
		t.Errorf("exit code %d\n%s", code, problems)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	code, _, problems = ask(t, "", "replay", "-prometheus="+plain.URL, "-values=x", "-from=1h")
	if code != command.Failed || !strings.Contains(problems, "404") {
		t.Errorf("exit code %d\n%s", code, problems)
	}
}

// The same seed gives the same figures, whoever plays, and they are right.
func TestSimulate(t *testing.T) {
	play := func(args ...string) simulated {
		t.Helper()
		code, out, problems := ask(t, "", append([]string{"simulate", "-json", "-requests=200/min", "-runs=120", "-past=8h"}, args...)...)
		var s simulated
		if err := json.Unmarshal([]byte(out), &s); err != nil || code != command.OK {
			t.Fatalf("exit code %d: %v\n%s", code, err, problems)
		}
		if n := s.Aborted.Rollouts + s.Passed.Rollouts + s.Undecided.Rollouts; n != 120 {
			t.Errorf("%d rollouts ended", n)
		}
		return s
	}
	bad := play("-errors=0.5%", "-times=10")
	if diff := cmp.Diff(bad, play("-errors=0.005", "-times=10")); diff != "" {
		t.Errorf("again (-first +second):\n%s", diff)
	}
	if bad.Aborted.Share < 0.99 || bad.Aborted.After.P50 > 5 || bad.Aborted.After.P05 > bad.Aborted.After.P95 {
		t.Errorf("ten times as bad: %+v", bad.Aborted)
	}
	if one, other := play("-errors=0.5%", "-times=2"), play("-errors=0.5%", "-times=2", "-seed=2"); cmp.Equal(one.Aborted, other.Aborted) {
		t.Error("another seed gives the same")
	}
	if s := play("-errors=0.5%", "-for=4h"); s.Aborted.Share > 0.08 || s.Passed.Share < 0.9 {
		t.Errorf("healthy: %+v", s)
	}
	if s := play("-errors=0.5%", "-for=4h", "-bake=1h"); s.Passed.After.P05 < 60 {
		t.Errorf("with a bake of an hour: %+v", s.Passed.After)
	}
	clustered, independent := play("-errors=0.5%", "-times=10", "-dispersion=3"), bad
	if clustered.Aborted.After.P50 <= independent.Aborted.After.P50 {
		t.Errorf("errors in clusters are seen after %v minutes, independent ones after %v", clustered.Aborted.After.P50, independent.Aborted.After.P50)
	}
	if s := play("-errors=0.5%", "-times=10", "-past=0s"); s.Aborted.After.P05 < 6 {
		t.Errorf("without a past it was seen after %v minutes", s.Aborted.After.P05)
	}
	if often := play("-errors=0.5%", "-times=10", "-interval=10s"); often.Aborted.After.P50 > bad.Aborted.After.P50+1 {
		t.Errorf("with a look every 10 s it was seen after %v minutes, with one a minute after %v", often.Aborted.After.P50, bad.Aborted.After.P50)
	}
	if rarely := play("-errors=0.5%", "-times=10", "-interval=5m"); math.Mod(rarely.Aborted.After.P50, 5) != 0 {
		t.Errorf("with a look every 5 minutes it was seen after %v", rarely.Aborted.After.P50)
	}
	if s := play("-errors=100%"); s.Aborted.Rollouts > 0 {
		t.Errorf("where all fails in both: %+v", s)
	}
}

// A replay of a service decides when the judge does that watches it.
func TestReplayIsAsIfLive(t *testing.T) {
	traffic := worlds.Traffic{Candidate: 100, Stable: 900, Base: 0.005}
	for trial := range 6 {
		effect := []float64{1, 3}[trial%2]
		d := worlds.NewDice("as if live", trial)
		past, now := worlds.Before(worlds.Independent, traffic, d), worlds.New(worlds.Independent, traffic, effect, d)
		m := analysis.Metric{Name: "errors", Better: "lower", Compare: analysis.Standard()}
		var yesterday []analysis.Measured
		var history, rollout strings.Builder
		head := "t_seconds,release,requests,errors\n"
		history.WriteString(head)
		rollout.WriteString(head)
		for i := range 24 * 60 {
			w := past.Minute(i, 1)[0]
			yesterday = append(yesterday, analysis.Measured{From: worlds.At(i-24*60, 0, 1), To: worlds.At(i+1-24*60, 0, 1), Release: worlds.Counter(w.Ns, w.Xs)})
			fmt.Fprintf(&history, "%d,stable,%v,%v\n", (i+1)*60, w.Ns, w.Xs)
		}
		m.Compare.Past = analysis.Learn(m, yesterday)
		judge := analysis.New([]analysis.Metric{m})
		judge.StepBegan(worlds.Start())
		want, decided := 0, false
		fmt.Fprintf(&rollout, "-60,stable,1000,5\n0,stable,1000,5\n")
		for i := range 300 {
			w := now.Minute(i, 1)[0]
			fmt.Fprintf(&rollout, "%d,stable,%v,%v\n%d,candidate,%v,%v\n", (i+1)*60, w.Ns, w.Xs, (i+1)*60, w.Nc, w.Xc)
			if decided && want < 0 {
				continue
			}
			stable := worlds.Counter(w.Ns, w.Xs)
			judge.Observe(analysis.Look{Metric: "errors", Target: "main", From: worlds.At(i, 0, 1), To: worlds.At(i+1, 0, 1), Candidate: worlds.Counter(w.Nc, w.Xc), Stable: &stable})
			switch {
			case judge.Failed():
				want, decided = -(i+1)*60, true
			case !decided && judge.Step().Value == strategy.Pass:
				want, decided = (i+1)*60, true
			}
		}
		dir := t.TempDir()
		write(t, dir, "yesterday.csv", history.String())
		write(t, dir, "errors.csv", rollout.String())
		_, out, problems := ask(t, dir, "replay", "-json", "-history=yesterday.csv", "errors.csv")
		s := summaryOf(t, out)
		got := int(s.At)
		if s.Decision == strategy.Fail {
			got = -got
		}
		if got != want || !decided || problems != "" {
			t.Errorf("trial %d: the judge decides at %d, the replay says %+v\n%s", trial, want, s, problems)
		}
	}
}

// Whatever numbers there are, each line is JSON, and two runs agree.
func TestWildNumbers(t *testing.T) {
	d := rand.New(rand.NewPCG(7, 7))
	wild := []string{"0", "1", "-1", "NaN", "", "Inf", "1e15", "9007199254740992", "1e300", "0.3", "100", "99", "1000000"}
	pick := func() string { return wild[d.IntN(len(wild))] }
	for trial := range 40 {
		dir := t.TempDir()
		var b strings.Builder
		b.WriteString("t_seconds,release,requests,errors\n")
		for range 60 {
			fmt.Fprintf(&b, "%d,%s,%s,%s\n", d.IntN(20)*60, []string{"candidate", "stable"}[d.IntN(2)], pick(), pick())
		}
		b.WriteString("0,candidate,1,0\n0,stable,1,0\n")
		write(t, dir, "errors.csv", b.String())
		args := []string{"replay", "-json", "errors.csv", "-series=" + []string{"delta", "counter"}[trial%2]}
		code, out, problems := ask(t, dir, args...)
		if code == command.Failed {
			t.Fatalf("%s\n%s", problems, b.String())
		}
		for line := range strings.Lines(out) {
			if !json.Valid([]byte(line)) {
				t.Fatalf("%q is not JSON", line)
			}
		}
		if _, again, _ := ask(t, dir, args...); again != out {
			t.Error("asked twice it says two things")
		}
	}
}

// BenchmarkReplay judges tables of a hundred thousand rows.
func BenchmarkReplay(b *testing.B) {
	var rows strings.Builder
	rows.WriteString("t_seconds,release,requests,errors\n")
	for i := range 50_000 {
		fmt.Fprintf(&rows, "%d,candidate,10,0\n%d,stable,10,0\n", i+1, i+1)
	}
	path := filepath.Join(b.TempDir(), "errors.csv")
	if err := os.WriteFile(path, []byte(rows.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, interval := range []string{"1m", "1s"} {
		b.Run("interval "+interval, func(b *testing.B) {
			for b.Loop() {
				env := &command.Env{Stdout: io.Discard, Stderr: io.Discard}
				if code := command.Dispatch(b.Context(), env, []*command.Command{New(env, nil)}, []string{"analyze", "replay", path, "-interval=" + interval}); code == command.Failed {
					b.Fatal("it cannot be read")
				}
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := &Options{Env: &command.Env{Stdout: &bytes.Buffer{}}, Requests: "100/min", Errors: "1%", Runs: 10, For: time.Hour, Interval: time.Minute}
	o.Policy.share = 0.5
	var exit *command.ExitError
	if err := simulate(ctx, o); !errors.As(err, &exit) || exit.Code != command.Interrupted {
		t.Error(err)
	}
	dir := t.TempDir()
	write(t, dir, "errors.csv", "t_seconds,release,requests,errors\n60,candidate,100,0\n60,stable,100,0\n")
	o = &Options{Env: &command.Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Dir: dir}, Files: []string{"errors.csv"}}
	if err := replay(ctx, o); !errors.As(err, &exit) || exit.Code != command.Interrupted {
		t.Error(err)
	}
}

func TestClock(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m", 12500 * time.Millisecond: "12.5s", 10 * time.Second: "10s", time.Hour + time.Second: "1h0m1s"} {
		if got := clock(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}
