runner {
  required_plugins {
    fake = { source = "runner/fake", version = "~> 1.2" }
  }
}

pipeline "shop" {}

stage "build" {
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
