runner {
  required_plugins {
    fake = { source = "runner/fake", version = "~> 1.2" }
  }
}

pipeline "shop" {}

stage "slow" {
  use "fake_convergent" {
    sleep = "3s"
  }
}

stage "after" {
  depends_on = [stage.slow]
  use "fake_plain" {}
}
