# The plugins of this pipeline, chosen and checked by "runner init". Review changes,
# env above all: these variables are shown to the plugin. Keep the file in version control.

plugin "runner/fake" {
  digest      = "c7c97585ff87f6bc3a52f222aaa3ec3617d7cda36bd162f5f16485fb270e525d"
  version     = "1.2.3"
  constraints = "~> 1.2"
  protocol    = 1
  hashes = [
    "darwin_amd64:sha256:4843c12e91547c18befef73ac929dec660083f671a6f0bf1ccd74dc9f3aa267e",
    "darwin_arm64:sha256:4843c12e91547c18befef73ac929dec660083f671a6f0bf1ccd74dc9f3aa267e",
    "linux_amd64:sha256:4843c12e91547c18befef73ac929dec660083f671a6f0bf1ccd74dc9f3aa267e",
    "linux_arm64:sha256:4843c12e91547c18befef73ac929dec660083f671a6f0bf1ccd74dc9f3aa267e",
  ]
  env = [
    "FAKE_START",
    "FAKE_TOKEN",
  ]
  about = "03a766808f96d46b6703ea4a15a2504319ccbff80fd8941fcad6fe1d299fddb6"

  component "fake_convergent" {
    kind   = "action"
    schema = "39b90bf4156330b6b081753e484b6c0bb928978267e0500f6c8dc68e38a221a4"
  }

  component "fake_metrics" {
    kind   = "metrics"
    schema = "25f256b4744bf4d45312efa4b17d665c0835e419f2a092c68faf3ed7ef4f295b"
  }

  component "fake_once" {
    kind   = "action"
    schema = "67ec6ff003b3cbca83ace5050dba3e9931fa972bcf8dc7d6426c221bc8b2c8b1"
  }

  component "fake_plain" {
    kind   = "action"
    schema = "af036d04a756eefd9cc511acc720daf328e8c48d8abed841d3c5b0fd0696aa27"
  }

  component "fake_run" {
    kind   = "action"
    schema = "e654bd7e2b1c429e619a49eaa7eb67cfad8a84390c73bc9e4c03281226934caf"
  }

  component "fake_strategy" {
    kind   = "strategy"
    schema = "5a2972219343139d0380aa76d87b6489773aa127c82447d1cbaa1b7e5d23fd67"
  }

  component "fake_target" {
    kind   = "target"
    schema = "4ad58c4f48511c3e870d85b9efff1d5acfec9ce7ff4f1005b487247bffc3fdbf"
  }
}
