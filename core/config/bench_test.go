package config_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/core/bind"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/scope"
	"github.com/runner-pipelines/runner/core/settings"
)

// chain is a pipeline of n stages, each after the one before.
func chain(n int) map[string][]byte {
	var b strings.Builder
	b.WriteString("pipeline \"bench\" {}\n\nvariable \"version\" {\n  default = \"v1\"\n}\n\nlocals {\n  tag = \"t-${var.version}\"\n}\n\n")
	for i := range n {
		fmt.Fprintf(&b, "stage \"s%d\" {\n  use \"noop\" {\n    name = \"x-${local.tag}-%d\"\n  }\n  timeout = \"30s\"\n", i, i)
		if i > 0 {
			fmt.Fprintf(&b, "  depends_on = [stage.s%d]\n", i-1)
		}
		b.WriteString("}\n\n")
	}
	return map[string][]byte{"pipeline.hcl": []byte(b.String())}
}

// spread is a pipeline of one stage with n instances.
func spread(n int) map[string][]byte {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%q", fmt.Sprintf("k%d", i))
	}
	src := fmt.Sprintf("pipeline \"bench\" {}\nlocals {\n  keys = [%s]\n}\nstage \"a\" {\n  for_each = local.keys\n  use \"noop\" {\n    name = each.key\n  }\n}\n"+
		"stage \"b\" {\n  for_each = local.keys\n  use \"noop\" {\n    name = each.key\n  }\n  depends_on = [stage.a[each.key]]\n}\n", strings.Join(keys, ", "))
	return map[string][]byte{"pipeline.hcl": []byte(src)}
}

// everything is what validate does without plugins.
func everything(tb testing.TB, sources map[string][]byte, stages int) {
	p, diags := config.LoadSources(sources, config.Options{})
	if diags.HasErrors() {
		tb.Fatal(diags)
	}
	s, diags := scope.New(p, scope.Options{World: fakeWorld{}})
	if diags.HasErrors() {
		tb.Fatal(diags)
	}
	if len(s.Stages()) != stages {
		tb.Fatalf("%d stages, want %d", len(s.Stages()), stages)
	}
	for _, st := range s.Stages() {
		if _, diags := st.Dependencies(); diags.HasErrors() {
			tb.Fatal(diags)
		}
		if _, diags := settings.Of(st); diags.HasErrors() {
			tb.Fatal(diags)
		}
		if _, diags := bind.Decode(st.Config.Use.Body, components["noop"], st.Context().Eval); diags.HasErrors() {
			tb.Fatal(diags)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		sources := chain(n)
		b.Run(fmt.Sprintf("stages=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, diags := config.LoadSources(sources, config.Options{}); diags.HasErrors() {
					b.Fatal(diags)
				}
			}
			perStage(b, n)
		})
	}
}

func BenchmarkEverything(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		sources := chain(n)
		b.Run(fmt.Sprintf("chain=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				everything(b, sources, n)
			}
			perStage(b, n)
		})
	}
	for _, n := range []int{100, 1000, 5_000} {
		sources := spread(n)
		b.Run(fmt.Sprintf("spread=%d", 2*n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				everything(b, sources, 2*n)
			}
			perStage(b, 2*n)
		})
	}
}

func perStage(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/stage")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-sys")
}
