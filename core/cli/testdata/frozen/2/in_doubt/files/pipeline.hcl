runner {
  required_plugins {
    fake = { source = "runner/fake", version = "~> 1.2" }
  }
}

pipeline "shop" {}

stage "once" {
  use "fake_run" {
    effects = "effects"
    crash   = "after"
  }
}
