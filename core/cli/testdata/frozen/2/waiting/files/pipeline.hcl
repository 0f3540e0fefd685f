runner {
  required_plugins {
    fake = { source = "runner/fake", version = "~> 1.2" }
  }
}

pipeline "shop" {}

stage "prepare" {
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
