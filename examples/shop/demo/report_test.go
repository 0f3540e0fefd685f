package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	vegeta "github.com/tsenart/vegeta/v12/lib"
)

func answers(n int, injected, lost int, why string) *Answers {
	a := &Answers{Injected: injected, Lost: lost, Why: why}
	for range n {
		a.Add(&vegeta.Result{Code: 200, Latency: 2 * time.Millisecond, Timestamp: time.Unix(0, 0)})
	}
	a.Close()
	return a
}

func goodReport() *Report {
	return &Report{
		Answers:    map[string]*Answers{"v1": answers(100, 0, 0, ""), "v2": answers(80, 0, 0, ""), "v3": answers(5, 1, 0, "")},
		Shares:     []string{"5%", "25%", "50%", "100%"},
		RolledBack: true, Back: 38 * time.Millisecond, Took: 41 * time.Second,
		Next: []string{"look around"},
	}
}

func TestReportPrint(t *testing.T) {
	var out strings.Builder
	goodReport().Print(&out)
	want := `
   release    requests   failed by itself   failed by a switch   p50   p99
   v1              100                  0                    0   2ms   2ms
   v2               80                  0                    0   2ms   2ms
   v3                5                  1                    0   2ms   2ms

requests failed because of a switch  0
time from the verdict on v3 to 0%    38ms
the whole demo                       41s

Try next:
  look around
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestReportBroken(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Report)
		want   []string
	}{
		{"all promises kept", func(*Report) {}, nil},
		{"a release that nobody met", func(r *Report) { delete(r.Answers, "v2") }, []string{"no request was answered by v2"}},
		{"lost requests, whoever lost them", func(r *Report) {
			r.Answers[Nobody] = answers(3, 0, 3, "EOF")
			r.Answers["v2"].Lost = 1
		}, []string{"4 requests failed because of a switch; the first: EOF"}},
		{"other steps", func(r *Report) { r.Shares = r.Shares[1:] }, []string{"v2 went by [25% 50% 100%], not by [5% 25% 50% 100%]"}},
		{"no rollback", func(r *Report) { r.RolledBack = false }, []string{"v3 was not rolled back"}},
		{"a verdict that was not seen", func(r *Report) { r.Back = 0 }, []string{"the time from the verdict to 0% was not seen"}},
		{"a slow rollback", func(r *Report) { r.Back = 3 * time.Second }, []string{"from the verdict to 0% it took 3s, more than 1s"}},
		{"a slow demo", func(r *Report) { r.Took = 3 * time.Minute }, []string{"the demo took 3m0s, more than 2m0s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := goodReport()
			tt.change(r)
			if diff := cmp.Diff(tt.want, r.Broken()); diff != "" {
				t.Errorf("broken promises (-want +got):\n%s", diff)
			}
		})
	}
}
