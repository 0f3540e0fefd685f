# The plugins of this pipeline, chosen and checked by "runner init". Review changes,
# env above all: these variables are shown to the plugin. Keep the file in version control.

plugin "acme/deploy-bot" {
  digest      = "69d23ec9dcde01ef8f720666f1feed64a98e512ee4f85f25396035ed2365ba00"
  version     = "2.0.0-beta.1"
  constraints = ">= 1.9, < 3"
  protocol    = 2
  hashes      = []
  env         = []
  about       = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
}

plugin "runner/local" {
  digest      = "332d423d8076eaaa178394e1bb8599b0fa2d1672dd95e6af17062aad7168ae4a"
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
