# Greets somebody, and then shows the greeting to half of the users, and to all.
runner {
  required_plugins {
    greet = { source = "example/greet", version = "~> 0.1" }
  }
}

pipeline "hello" {}

variable "name" {
  type    = string
  default = "world"
}

variable "bake" {
  type    = string
  default = "1s"
}

stage "greet" {
  use "greet" {
    file = "greeting.txt"
    name = var.name
  }
}

stage "show" {
  target "users" {
    use "flag" {
      file = "flag.json"
      text = stage.greet.text
    }
  }

  strategy "halves" {
    bake = var.bake
  }
}

output "text" {
  value = stage.greet.text
}
