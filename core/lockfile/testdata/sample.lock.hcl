# The plugins of this pipeline, chosen and checked by "runner init". Review changes,
# env above all: these variables are shown to the plugin. Keep the file in version control.

plugin "acme/deploy-bot" {
  version     = "2.0.0-beta.1"
  constraints = ">= 1.9, < 3"
  protocol    = 2
  hashes      = []
  env         = []
  about       = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
}

plugin "runner/local" {
  version     = "0.1.0"
  constraints = "~> 0.1"
  protocol    = 1
  hashes = [
    "darwin_arm64:sha256:1111111111111111111111111111111111111111111111111111111111111111",
    "linux_amd64:sha256:2222222222222222222222222222222222222222222222222222222222222222",
  ]
  env = [
    "HOME",
    "PATH",
  ]
  about = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

  component "local_exec" {
    kind   = "action"
    schema = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
  }

  component "local_service" {
    kind   = "target"
    schema = "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
  }
}
