# A shop on this machine: two processes per release behind a reverse proxy,
# replaced by canary. `make run` plays it. By hand, after `make build`:
#
#   cd examples
#   ../bin/runner init
#   ../bin/runner apply -var version=v1
#   ../bin/demo -load http://127.0.0.1:8080 &      # customers: no evidence without them
#   ../bin/runner apply -var version=v2
#   ../bin/runner-plugin-local ls

runner {
  required_version = "~> 0.1"

  required_plugins {
    local  = { source = "runner/local", version = "~> 0.1" }
    canary = { source = "runner/canary", version = "~> 0.1" }
  }
}

pipeline "shop" {}

variable "version" {
  type        = string
  description = "Version of the shop to deploy."
}

variable "fail_rate" {
  type        = number
  default     = 0
  description = "Share of requests that this version answers with an error, 0 to 1."

  validation {
    condition     = var.fail_rate >= 0 && var.fail_rate <= 1
    error_message = "The share must be between 0 and 1."
  }
}

variable "shop" {
  type        = string
  default     = "../bin/shop"
  description = "The shop's program."
}

variable "port" {
  type        = number
  default     = 8080
  description = "Where customers find the shop."
}

stage "release" {
  use "local_service" {
    command  = [var.shop, "-version", var.version, "-fail-rate", tostring(var.fail_rate)]
    port     = var.port
    replicas = 2
  }

  strategy "canary" {
    steps = [5, 25, 50, 100]
    bake  = "4s"
  }

  # Before the candidate gets any traffic, it must answer at its own address.
  verify "healthz" {
    use "local_http" {
      url = "${candidate.address}/healthz"
    }
  }

  # While it gets traffic, at most 5 requests in 100 may fail.
  analysis {
    interval        = "500ms"
    deadline        = "1m"
    on_inconclusive = "abort"

    metric "errors" {
      use "local_metrics" {
        metric = "error_rate"
      }
      better    = "lower"
      max       = 0.05
      min_count = 30
    }
  }
}
