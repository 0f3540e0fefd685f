package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/runner-pipelines/runner/core/kernel"
)

// frozenRuns are in every state that a run can be left in.
var frozenRuns = []frozenRun{
	{
		// Killed in the middle of the first wave's bake, resumed, and killed again in the
		// second's, with a lock held.
		name: "baking", pipeline: frozenRollout, files: map[string]string{"metrics.json": `{"*": {"counter": {"n": 1000, "events": 0}}}`},
		write: func(t *testing.T, w *frozenWorld) {
			w.as(t, "ada:sre", 0, "apply", "-auto-approve", "-var=version=one")
			w.killedWhen(t, `"wave": 0,.*"step": "10%",.*"until"`, "apply", "-auto-approve", "-var=version=two")
			w.killedWhen(t, `"wave": 1,.*"step": "10%",.*"until"`, "resume")
		},
		goOn: func(t *testing.T, w *frozenWorld) { w.as(t, "bob:sre", 0, "resume") }, outcome: kernel.Succeeded,
	},
	{
		// Harm was found: the rollout has taken its way back.
		name: "rolled_back", pipeline: frozenRollout, files: map[string]string{"metrics.json": `{"*": {"counter": {"n": 1000, "events": 0}}}`},
		write: func(t *testing.T, w *frozenWorld) {
			w.as(t, "ada:sre", 0, "apply", "-auto-approve", "-var=version=one")
			if err := os.WriteFile(filepath.Join(w.dir, "metrics.json"), []byte(`{"*": {"counter": {"n": 1000, "events": 500}}}`), 0o600); err != nil {
				t.Fatal(err)
			}
			w.as(t, "ada:sre", 4, "apply", "-auto-approve", "-var=version=two")
		},
		outcome: kernel.RolledBack,
	},
	{
		// One of two approvals is in the journal, the other in the inbox.
		name: "approved", pipeline: frozenGates,
		write: func(t *testing.T, w *frozenWorld) {
			w.as(t, "ada:sre", 3, "apply", "-auto-approve")
			w.as(t, "ada:sre", 0, "approve", "latest", "stage.prepare", "first")
			w.as(t, "ada:sre", 3, "resume")
			w.as(t, "bob:sre", 0, "approve", "latest", "stage.migrate", "second")
			w.as(t, "ada:sre", 3, "resume")
			w.as(t, "eve:sre", 0, "approve", "latest", "stage.migrate", "second", "-comment", "looks good")
		},
		goOn: func(t *testing.T, w *frozenWorld) {
			w.as(t, "ada:sre", 3, "resume")
			w.as(t, "ada:sre", 0, "approve", "-input=ticket=OPS-7")
			w.as(t, "ada:sre", 0, "resume")
		},
		outcome: kernel.Succeeded,
	},
	{
		// Nobody has answered yet.
		name: "waiting", pipeline: frozenGates,
		write: func(t *testing.T, w *frozenWorld) { w.as(t, "ada:sre", 3, "apply", "-auto-approve") },
		goOn: func(t *testing.T, w *frozenWorld) {
			w.as(t, "bob:sre", 0, "reject", "latest", "stage.prepare", "first")
			w.as(t, "ada:sre", 4, "resume")
		},
		outcome: kernel.Rejected,
	},
	{
		// A plugin died during an operation that must not happen twice.
		name: "in_doubt", pipeline: frozenDoubt,
		write: func(t *testing.T, w *frozenWorld) { w.as(t, "ada:sre", 3, "apply", "-auto-approve") },
		goOn: func(t *testing.T, w *frozenWorld) {
			w.as(t, "ada:sre", 0, "approve")
			w.as(t, "ada:sre", 0, "resume")
			if got, err := os.ReadFile(filepath.Join(w.dir, "effects")); err != nil || bytes.Count(got, []byte("\n")) != 1 {
				t.Errorf("the operation has the effects %q, want one (error %v)", got, err)
			}
		},
		outcome: kernel.Succeeded,
	},
	{
		// An open run was taken back: what could be undone was undone.
		name: "taken_back", pipeline: frozenUndo,
		write: func(t *testing.T, w *frozenWorld) {
			w.as(t, "ada:sre", 3, "apply", "-auto-approve")
			w.as(t, "ada:sre", 0, "rollback", "-reason=wrong branch")
		},
		outcome: kernel.RolledBack,
	},
	{
		// A run that went back to the releases from before another one.
		name: "gone_back", pipeline: frozenRollout, files: map[string]string{"metrics.json": `{"*": {"counter": {"n": 1000, "events": 0}}}`},
		write: func(t *testing.T, w *frozenWorld) {
			w.as(t, "ada:sre", 0, "apply", "-auto-approve", "-var=version=one")
			w.as(t, "ada:sre", 0, "apply", "-auto-approve", "-var=version=two")
			w.as(t, "bob:sre", 0, "rollback", "-auto-approve", "-reason=wrong branch")
		},
		outcome: kernel.Succeeded,
	},
	{
		// Retries, a handle, a skipped stage, sensitive outputs: everything went well.
		name: "finished", pipeline: frozenFinished,
		write:   func(t *testing.T, w *frozenWorld) { w.as(t, "ada:sre", 0, "apply", "-auto-approve") },
		outcome: kernel.Succeeded,
	},
	{
		// Killed while it worked and while it waited for a retry.
		name: "working", pipeline: frozenWorking,
		write: func(t *testing.T, w *frozenWorld) {
			w.killedWhen(t, `"status": "running"`, "apply", "-auto-approve")
			if err := os.WriteFile(filepath.Join(w.dir, "calm"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		goOn: func(t *testing.T, w *frozenWorld) { w.as(t, "ada:sre", 0, "resume") }, outcome: kernel.Succeeded,
	},
}

const frozenHead = `runner {
  required_plugins {
    fake = { source = "runner/fake", version = "~> 1.2" }
  }
}

pipeline "shop" {}

`

const frozenRollout = frozenHead + `variable "version" {
  type = string
}

environment "prod" {}

stage "web" {
  environment = environment.prod
  target "eu" {
    use "fake_target" {
      file    = "eu.json"
      address = "http://${var.version}.invalid"
    }
  }
  target "us" {
    use "fake_target" {
      file     = "us.json"
      address  = "http://${var.version}.invalid"
      capacity = true
    }
  }
  waves = [["eu"], ["us"]]
  strategy "fake_strategy" {
    steps = [10, 50, 100]
    bake  = "1s"
  }
  verify "answers" {
    use "fake_plain" {
      text = candidate.address
    }
  }
  analysis {
    interval        = "100ms"
    deadline        = "876000h" # however long it was frozen
    on_inconclusive = "abort"
    metric "errors" {
      use "fake_metrics" {
        file = "metrics.json"
      }
      max = 0.01
    }
  }
}
`

const frozenGates = frozenHead + `stage "prepare" {
  use "fake_plain" {}
  approval "first" {}
}

stage "migrate" {
  depends_on = [stage.prepare]
  use "fake_run" {
    effects = "effects"
  }
  approval "second" {
    required      = 2
    from          = ["group:sre"]
    not_initiator = true
  }
  gate "checked" {
    message = "Which change is it?"
    input "ticket" {
      type = string
    }
  }
}

stage "report" {
  use "fake_run" {
    text = stage.migrate.gates.checked.ticket
  }
}
`

const frozenDoubt = frozenHead + `stage "once" {
  use "fake_run" {
    effects = "effects"
    crash   = "after"
  }
}
`

const frozenUndo = frozenHead + `stage "first" {
  use "fake_run" {
    effects = "first"
  }
}

stage "second" {
  depends_on = [stage.first]
  use "fake_run" {
    text    = "2"
    effects = "second"
  }
  rollback {
    use "fake_run" {
      text    = self.text
      effects = "second-back"
    }
  }
}

stage "third" {
  depends_on = [stage.second]
  use "fake_run" {}
  approval {}
}
`

const frozenFinished = frozenHead + `stage "build" {
  use "fake_convergent" {
    text       = "made"
    secret     = "not for everybody"
    handle     = "build-7"
    fail       = "retryable"
    fail_times = 1
    lines      = 3
  }
  retry {
    attempts = 3
  }
}

stage "never" {
  when = false
  use "fake_plain" {}
}

stage "report" {
  depends_on = [stage.never]
  use "fake_once" {
    text    = stage.build.text
    effects = "effects"
    crash   = "after"
  }
}

output "said" {
  value = stage.report.text
}
`

const frozenWorking = frozenHead + `stage "slow" {
  use "fake_convergent" {
    sleep = "3s"
  }
}

stage "after" {
  depends_on = [stage.slow]
  use "fake_plain" {}
}
`
