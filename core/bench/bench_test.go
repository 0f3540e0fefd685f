package main

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestShapesAreWhatTheySay(t *testing.T) {
	for _, tc := range []struct {
		shape shape
		name  string
		edges int
	}{
		{shape{stages: 1}, "1 stage", 0},
		{shape{stages: 3}, "3 in parallel", 0},
		{shape{stages: 1000, chain: true}, "1,000 in a chain", 999},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.name, tc.shape.String()); diff != "" {
				t.Error(diff)
			}
			for what, text := range map[string]string{"pipeline": tc.shape.pipeline(), "terraform": tc.shape.terraform()} {
				f, diags := hclsyntax.ParseConfig([]byte(text), what, hcl.InitialPos)
				if diags.HasErrors() {
					t.Fatal(diags)
				}
				stages, edges := 0, 0
				for _, b := range f.Body.(*hclsyntax.Body).Blocks {
					if b.Type == "stage" || b.Type == "resource" {
						stages++
						edges += len(b.Body.Attributes)
					}
				}
				if diff := cmp.Diff([]int{tc.shape.stages, tc.edges}, []int{stages, edges}); diff != "" {
					t.Errorf("%s: stages and edges: %s", what, diff)
				}
			}
		})
	}
	want := ".PHONY: all s0 s1\nall: s0 s1\ns0: \n\t@true\ns1: s0\n\t@true\n"
	if diff := cmp.Diff(want, shape{stages: 2, chain: true}.makefile()); diff != "" {
		t.Error(diff)
	}
}

func TestSlowThingsAreMeasuredLessOften(t *testing.T) {
	measured := func(wall time.Duration) int {
		c := &cell{name: "x", work: func(context.Context) (sample, error) { return sample{wall: wall}, nil }}
		for c.due(5, 10*time.Second) {
			if err := c.measure(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return len(c.samples)
	}
	got := []int{measured(time.Second), measured(4 * time.Second), measured(time.Hour)}
	if diff := cmp.Diff([]int{5, 3, 1}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatNeverEndsIsLateAndWhatFailsIsAnError(t *testing.T) {
	late := &cell{work: func(context.Context) (sample, error) { return sample{wall: processTimeout}, errors.New("killed") }}
	if err := late.measure(t.Context()); err != nil || !late.late || late.due(5, time.Hour) {
		t.Errorf("error %v, late %v", err, late.late)
	}
	failing := &cell{work: func(context.Context) (sample, error) { return sample{}, errors.New("exit status 1") }}
	if err := failing.measure(t.Context()); err == nil {
		t.Error("a program that fails was measured")
	}
}

func TestMedianIsOfEachFigure(t *testing.T) {
	c := &cell{samples: []sample{{wall: 9, cpu: 1, peak: 4}, {wall: 1, cpu: 5, peak: 8}, {wall: 3, cpu: 7, peak: 6}}}
	got, ok := c.median()
	if want := (sample{wall: 3, cpu: 5, peak: 6}); !ok || got != want {
		t.Errorf("median is %v, want %v", got, want)
	}
	if _, ok := (&cell{}).median(); ok {
		t.Error("a thing that was not measured has a median")
	}
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	b := &bench{cells: []*cell{
		{name: "slow", samples: []sample{{wall: 20}, {wall: 4}, {wall: 6}}},
		{name: "fast", samples: []sample{{wall: 10}, {wall: 1}, {wall: 2}, {wall: 100}}},
		{name: "never"},
	}}
	ratio := func(w walls) float64 { return w["slow"] / w["fast"] }
	if got, ok := b.perRound(ratio, "slow", "fast"); !ok || got != 3 {
		t.Errorf("ratio is %v, want 3", got)
	}
	for _, missing := range []string{"never", "unknown"} {
		if _, ok := b.perRound(ratio, "slow", "fast", missing); ok {
			t.Errorf("there is a ratio with %s, which was not measured", missing)
		}
	}
}

// What ends with another code than it should has not done its work.
func TestAProgramEndsAsItShould(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no shell here to end as it is told")
	}
	for _, tc := range []struct {
		ends string
		exit int
		ok   bool
	}{{"0", 0, true}, {"3", 3, true}, {"0", 3, false}, {"3", 0, false}, {"1", 3, false}} {
		_, err := program{path: "sh", args: []string{"-c", "exit " + tc.ends}, exit: tc.exit}.run(t.Context())
		if (err == nil) != tc.ok {
			t.Errorf("it ends with %s and should with %d: error %v", tc.ends, tc.exit, err)
		}
	}
}

func TestEveryStageHasAProcessOfItsOwn(t *testing.T) {
	f, diags := hclsyntax.ParseConfig([]byte(manyConfigurations(50)), "pipeline", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	got := map[string]int{}
	for _, b := range f.Body.(*hclsyntax.Body).Blocks {
		got[b.Type]++
	}
	if diff := cmp.Diff(map[string]int{"runner": 1, "pipeline": 1, "plugin": 50, "environment": 50, "stage": 50}, got); diff != "" {
		t.Error(diff)
	}
}

func TestATerminalIsOne(t *testing.T) {
	for _, tc := range []struct {
		terminal bool
		script   string
		fails    bool
	}{
		{true, `test -t 0 && test -t 1 && test -t 2 && test -z "$CI" && stty size | grep -qx "24 80"`, false},
		{false, "test -t 1", true},
		{true, "echo gone wrong; exit 1", true},
	} {
		p := program{dir: t.TempDir(), path: "/bin/sh", args: []string{"-c", tc.script}, terminal: tc.terminal}
		if s, err := p.run(t.Context()); (err != nil) != tc.fails || s.wall == 0 {
			t.Errorf("%s: %v, took %s", tc.script, err, s.wall)
		} else if tc.terminal && tc.fails && !strings.Contains(err.Error(), "gone wrong") {
			t.Errorf("what was said is not told: %v", err)
		}
	}
}

// A run that is looked at is the same graph in both ways, and slow stages come on top.
func TestLooksAreOfTheSameSize(t *testing.T) {
	for _, small := range []bool{true, false} {
		var sizes []int
		for _, l := range looks(small) {
			sizes = append(sizes, strings.Count(l.pipeline(), "\nstage "))
		}
		if len(sizes) != 2 || sizes[0] != sizes[1] {
			t.Errorf("small %v: %d stages", small, sizes)
		}
	}
}
