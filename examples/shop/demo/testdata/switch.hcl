runner {
  required_plugins {
    local  = { source = "runner/local", version = "~> 0.1" }
    canary = { source = "runner/canary", version = "~> 0.1" }
  }
}

pipeline "switch" {}

variable "shop" {}
variable "port" {}
variable "version" {}
variable "fail_rate" {}

stage "release" {
  use "local_service" {
    command  = [var.shop, "-version", var.version, "-fail-rate", var.fail_rate]
    port     = var.port
    replicas = 2
  }

  strategy "blue_green" {}

  verify "healthz" {
    use "local_http" {
      url = "${candidate.address}/healthz"
    }
  }
}
