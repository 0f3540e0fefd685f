package settings_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scope"
	"github.com/runner-pipelines/runner/core/settings"
	"github.com/runner-pipelines/runner/sdk/analysis"
)

func newScope(t *testing.T, src string, opts scope.Options) (*config.Pipeline, *scope.Scope) {
	t.Helper()
	p, diags := config.LoadSources(map[string][]byte{"pipeline.hcl": []byte("pipeline \"p\" {}\n" + src)}, config.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	opts.World = lang.OS("", "", nil)
	s, diags := scope.New(p, opts)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p, s
}

func stage(t *testing.T, s *scope.Scope, name string) *scope.Stage {
	t.Helper()
	st, ok := s.Stage(addr.Stage{Name: name})
	if !ok {
		t.Fatalf("there is no stage %s", name)
	}
	return st
}

func number(f float64) *float64 { return &f }

var ignorePlaces = cmp.Options{
	cmpopts.IgnoreTypes(hcl.Range{}),
	cmpopts.IgnoreFields(settings.Metric{}, "Config"),
	cmpopts.IgnoreFields(settings.Stage{}, "When"),
	cmp.Comparer(func(a, b cty.Value) bool { return a == cty.NilVal && b == cty.NilVal || a.RawEquals(b) }),
	cmp.Comparer(func(a, b cty.Type) bool { return a.Equals(b) }),
}

func TestDefaults(t *testing.T) {
	_, s := newScope(t, "stage \"a\" {\n use \"x\" {}\n}\n", scope.Options{})
	got, diags := settings.Of(stage(t, s, "a"))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	want := &settings.Stage{
		RunIf: "success", OnDoubt: "ask", WhileWaiting: "watch",
		Retry: settings.Retry{Attempts: 1, Delay: time.Second, MaxDelay: time.Minute},
	}
	if diff := cmp.Diff(want, got, ignorePlaces); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !got.When.RawEquals(cty.True) {
		t.Errorf("When = %#v", got.When)
	}
}

func TestEverything(t *testing.T) {
	_, s := newScope(t, `
variable "minutes" { default = 5 }
pool "db" { limit = 2 }
environment "prod" {
  approval {
    required      = 2
    from          = ["group:sre"]
    not_initiator = true
    expires       = "30d"
  }
}
stage "a" {
  target "eu" {
    use "x" {}
  }
  target "us" {
    use "x" {}
  }
  target "ap" {
    use "x" {}
  }
  strategy "canary" {}
  waves        = [["us"], ["eu", "ap"]]
  max_degraded = 2
  analysis {
    interval        = "30s"
    deadline        = "${var.minutes}m"
    on_inconclusive = "hold"
    metric "errors" {
      use "m" {}
      max = 0.01
    }
    metric "throughput" {
      use "m" {}
      min      = 5
      interval = "1m"
    }
    metric "latency" {
      use "m" {}
      better    = "lower"
      quantile  = 0.99
      min_count = 50
    }
  }
  approval "half" {
    from = ["user:ada"]
  }
  gate {
    message = "Backup done?"
    input "ticket" {
      type        = string
      description = "number"
    }
    input "hours" {
      type    = number
      default = "2"
    }
  }
  gate "scan" { fail_on = "high" }
  retry {
    attempts  = 4
    delay     = "2m"
  }
  pool          = pool.db
  timeout       = "1h"
  run_if        = "always"
  on_failure    = "stop"
  on_doubt      = "retry"
  while_waiting = "stable"
  when          = stage.b.ok
}
stage "b" {
  use "x" {}
}
`, scope.Options{})
	got, diags := settings.Of(stage(t, s, "a"))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	want := &settings.Stage{
		RunIf: "always", OnFailure: "stop", OnDoubt: "retry", WhileWaiting: "stable", Pool: "db", Timeout: time.Hour,
		Retry: settings.Retry{Attempts: 4, Delay: 2 * time.Minute, MaxDelay: 2 * time.Minute},
		Waves: [][]string{{"us"}, {"eu", "ap"}}, MaxDegraded: 2,
		Approvals: []settings.Approval{{Name: "half", Required: 1, From: []string{"user:ada"}}},
		Gates: []settings.Gate{
			{Message: "Backup done?", Inputs: []*config.GateInput{
				{Name: "ticket", Type: config.VariableType{Type: cty.String}, Description: "number"},
				{Name: "hours", Type: config.VariableType{Type: cty.Number}, Default: cty.NumberIntVal(2)},
			}},
			{Name: "scan", FailOn: "high"},
		},
		Analysis: &settings.Analysis{
			Interval: 30 * time.Second, Deadline: 5 * time.Minute, OnInconclusive: "hold", History: 24 * time.Hour,
			Metrics: []settings.Metric{
				{Name: "errors", Better: "lower", Max: number(0.01), MinCount: 1, Interval: 30 * time.Second},
				{Name: "throughput", Better: "higher", Min: number(5), MinCount: 1, Interval: time.Minute},
				{Name: "latency", Better: "lower", MinCount: 50, Quantile: 0.99, Interval: 30 * time.Second, Compare: analysis.Standard()},
			},
		},
	}
	if diff := cmp.Diff(want, got, ignorePlaces); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.When.IsKnown() {
		t.Errorf("When = %#v, want unknown", got.When)
	}
	approvals, diags := settings.Environment(s, s.Environments()[0])
	wantApprovals := []settings.Approval{{Required: 2, From: []string{"group:sre"}, NotInitiator: true, Expires: 720 * time.Hour}}
	if diff := cmp.Diff(wantApprovals, approvals, ignorePlaces); diff != "" || len(diags) > 0 {
		t.Errorf("approvals (-want +got):\n%s\n%v", diff, diags)
	}
}

// What an analysis says holds for each of its metrics that does not say otherwise.
func TestComparison(t *testing.T) {
	_, s := newScope(t, `
stage "a" {
  use "x" {}
  strategy "canary" {}
  analysis {
    deadline        = "1h"
    on_inconclusive = "promote"
    on_no_data      = "continue"
    alpha           = 0.01
    history         = "0s"
    tolerance       = 0.2
    margin          = 2
    block           = "2m"
    metric "as_said" {
      use "x" {}
      better = "same"
    }
    metric "otherwise" {
      use "x" {}
      better     = "lower"
      tolerance  = 0
      margin_abs = "0.5pp"
      block      = "10s"
      weight     = 3
      critical   = true
      rate       = true
    }
    metric "both" {
      use "x" {}
      max        = 0.1
      margin     = 3
      margin_abs = 0.01
    }
    metric "limit" {
      use "x" {}
      max = 0.1
    }
    metric "error_rate" {}
  }
}
`, scope.Options{})
	got, diags := settings.Of(stage(t, s, "a"))
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	a := got.Analysis
	if a.OnInconclusive != settings.Promote || a.OnNoData != settings.Continue || a.Alpha != 0.01 || a.History != 0 {
		t.Errorf("the analysis is %+v", a)
	}
	said := analysis.Compare{Tolerance: 0.2, Margin: 2, Block: 2 * time.Minute}
	want := []analysis.Metric{
		{Name: "as_said", Better: "same", MinCount: 1, Compare: &said},
		{Name: "otherwise", Better: "lower", MinCount: 1, Compare: &analysis.Compare{MarginAbs: 0.005, Block: 10 * time.Second, Weight: 3, Critical: true, Rate: true}},
		{Name: "both", Better: "lower", MinCount: 1, Max: number(0.1), Compare: &analysis.Compare{Tolerance: 0.2, Margin: 3, MarginAbs: 0.01, Block: 2 * time.Minute}},
		{Name: "limit", Better: "lower", MinCount: 1, Max: number(0.1)},
		{Name: "error_rate", MinCount: 1, Compare: &said},
	}
	if diff := cmp.Diff(want, a.Judged()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWavesByDefault(t *testing.T) {
	_, s := newScope(t, "stage \"a\" {\n target \"eu\" {\n use \"x\" {}\n }\n target \"us\" {\n use \"x\" {}\n }\n}\n", scope.Options{})
	got, diags := settings.Of(stage(t, s, "a"))
	if diff := cmp.Diff([][]string{{"eu", "us"}}, got.Waves); diff != "" || len(diags) > 0 {
		t.Errorf("(-want +got):\n%s\n%v", diff, diags)
	}
}

func TestPoolsAndProducts(t *testing.T) {
	p, s := newScope(t, `
variable "n" { default = 3 }
pool "db" { limit = var.n }
stage "a" {
  use "x" {}
  produces = { dist = "./dist", later = stage.b.path }
}
stage "b" {
  use "x" {}
}
`, scope.Options{})
	pools, diags := settings.Pools(s, p)
	if diff := cmp.Diff(map[string]int{"db": 3}, pools); diff != "" || len(diags) > 0 {
		t.Errorf("pools (-want +got):\n%s\n%v", diff, diags)
	}
	products, diags := settings.Products(stage(t, s, "a"))
	if len(diags) > 0 || !products["dist"].RawEquals(cty.StringVal("./dist")) || products["later"].IsKnown() {
		t.Errorf("products: %#v, %v", products, diags)
	}
}

// Variables without a value make settings unknown, which validate accepts.
func TestUnknownVariablesAreNoMistake(t *testing.T) {
	p, s := newScope(t, `
variable "x" {}
pool "db" { limit = var.x }
stage "a" {
  target "eu" {
    use "x" {}
  }
  strategy "s" {}
  waves        = var.x
  max_degraded = var.x
  timeout      = var.x
  run_if       = var.x
  when         = var.x
  analysis {
    interval        = var.x
    deadline        = var.x
    on_inconclusive = var.x
    metric "m" {
      use "m" {}
      min      = var.x
      max      = var.x
      better   = var.x
      quantile = var.x
    }
  }
  approval {
    required = var.x
    from     = [var.x]
  }
  gate { message = var.x }
}
`, scope.Options{AllowMissing: true})
	if _, diags := settings.Of(stage(t, s, "a")); len(diags) > 0 {
		t.Error(diags)
	}
	if _, diags := settings.Pools(s, p); len(diags) > 0 {
		t.Error(diags)
	}
}
