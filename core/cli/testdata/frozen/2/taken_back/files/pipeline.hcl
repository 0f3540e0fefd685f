runner {
  required_plugins {
    fake = { source = "runner/fake", version = "~> 1.2" }
  }
}

pipeline "shop" {}

stage "first" {
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
