# The shop of ../pipeline.hcl, judged by what a Prometheus scrapes from the proxy in
# front of it. README.md tells how to run it.

runner {
  required_version = "~> 0.1"

  required_plugins {
    local      = { source = "runner/local", version = "~> 0.1" }
    canary     = { source = "runner/canary", version = "~> 0.1" }
    prometheus = { source = "runner/prometheus", version = "~> 0.1" }
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
}

variable "shop" {
  type        = string
  default     = "../../bin/shop"
  description = "The shop's program."
}

variable "port" {
  type        = number
  default     = 8080
  description = "Where customers find the shop."
}

variable "prometheus" {
  type        = string
  default     = "http://127.0.0.1:9090"
  description = "Where the Prometheus is."
}

plugin "prometheus" {
  address = var.prometheus
}

stage "release" {
  use "local_service" {
    command = [var.shop, "-version", var.version, "-fail-rate", tostring(var.fail_rate)]
    port    = var.port
  }

  strategy "canary" {
    steps = [50, 100]
    bake  = "2s"
  }

  analysis {
    interval        = "500ms"
    deadline        = "1m"
    on_inconclusive = "abort"

    # Counts, not a quotient of rates: 1 error among 3 requests is no evidence.
    metric "errors" {
      use "prometheus" {
        total  = "runner_local_requests_total{release=\"$release\"}"
        events = "runner_local_request_errors_total{release=\"$release\"}"
      }
      better    = "lower"
      max       = 0.05
      min_count = 30
    }

    metric "latency" {
      use "prometheus" {
        histogram = "runner_local_request_duration_seconds_bucket{release=\"$release\"}"
      }
      better   = "lower"
      quantile = 0.9
      max      = 5
    }
  }
}
