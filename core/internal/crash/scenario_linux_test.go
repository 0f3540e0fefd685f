package crash

import (
	"path/filepath"
	"strings"
)

// scenario is a pipeline of which a first version is deployed, and then a second.
type scenario struct {
	name     string
	pipeline string
	// then are files that change between the two.
	then map[string]string
	exit int
	// doubtful are the stages whose plugin cannot tell what became of an operation.
	doubtful map[string]bool
}

func (s scenario) services(dir string) string { return filepath.Join(filepath.Dir(dir), "services") }

// header declares the plugins; the strategies are the fake's when they say so.
const header = `runner {
  required_plugins {
    fake = { source = "runner/fake" }
    PLUGINS
  }
}

pipeline "shop" {}

variable "version" {
  type = string
}

environment "prod" {}
`

// before are the stages ahead of the rollout: one of each class.
const before = `
stage "build" {
  use "fake_once" {
    effects = "build.${var.version}"
    handle  = "build-1"
  }
}

stage "migrate" {
  depends_on = [stage.build]
  use "fake_run" {
    effects = "migrate.${var.version}"
  }
}

stage "tag" {
  depends_on = [stage.build]
  use "fake_convergent" {
    effects = "tag.${var.version}"
  }
}
`

const web = `
stage "web" {
  depends_on  = [stage.migrate, stage.tag]
  environment = environment.prod
  on_failure  = "rollback"
  use "fake_target" {
    file    = "web.json"
    address = "http://${var.version}.invalid"
  }
  STRATEGY
  verify "healthy" {
    use "fake_convergent" {
      text = candidate.address
    }
  }
  ANALYSIS
}
`

const analysis = `analysis {
    interval        = "50ms"
    deadline        = "30s"
    on_inconclusive = "abort"
    metric "errors" {
      use "fake_metrics" {
        file = "metrics.json"
      }
      max = 0.01
    }
  }`

// failing is a stage whose failure is taken back by a stage's own rollback.
const failing = `
stage "ledger" {
  depends_on = [stage.build]
  on_failure = "rollback"
  use "fake_once" {
    effects = "ledger.${var.version}"
    fail    = var.version == "two" ? "permanent" : ""
    effect  = "done"
  }
  rollback {
    use "fake_once" {
      effects = "ledger-back.${var.version}"
    }
  }
}
`

// scenarios are the three runs, with the strategies of the plugin that is named.
func scenarios(strategies string) []scenario {
	canary := "strategy \"fake_strategy\" {\n    steps = [25, 50, 100]\n    bake  = \"30ms\"\n  }"
	blueGreen := "strategy \"fake_strategy\" {\n    steps = [100]\n    bake  = \"30ms\"\n  }"
	plugins := ""
	if strategies == "canary" {
		canary = strings.Replace(canary, "fake_strategy", "canary", 1)
		blueGreen = "strategy \"blue_green\" {\n    warm = \"30ms\"\n  }"
		plugins = `canary = { source = "runner/canary" }`
	}
	text := func(stages, strategy, analysis string) string {
		return strings.NewReplacer("PLUGINS", plugins, "STRATEGY", strategy, "ANALYSIS", analysis).Replace(header + stages)
	}
	doubtful := map[string]bool{"stage.migrate": true}
	return []scenario{
		{name: "canary", pipeline: text(before+web, canary, ""), doubtful: doubtful},
		{name: "blue-green", pipeline: text(before+web, blueGreen, ""), doubtful: doubtful},
		{
			name: "failing run", pipeline: text(before+web+failing, strings.Replace(canary, "30ms", "30s", 1), analysis), doubtful: doubtful, exit: 4,
			then: map[string]string{"metrics.json": `{"*": {"counter": {"n": 1000, "events": 500}}}`},
		},
	}
}
