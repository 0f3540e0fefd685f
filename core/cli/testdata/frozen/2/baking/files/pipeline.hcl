runner {
  required_plugins {
    fake = { source = "runner/fake", version = "~> 1.2" }
  }
}

pipeline "shop" {}

variable "version" {
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
