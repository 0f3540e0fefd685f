# The plugins of this pipeline, chosen and checked by "runner init". Review changes,
# env above all: these variables are shown to the plugin. Keep the file in version control.

plugin "runner/fake" {
  digest      = "c2d0810c337b60185edd06ae2400603b6e2b8ad978caf8e4c88632662ece05d1"
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

  component "fake_leak" {
    kind   = "action"
    schema = "1750be2c6353c0234f17c37efab507372891142123ae29ddaf7ff091170239e6"
  }

  component "fake_metrics" {
    kind   = "metrics"
    schema = "f6acbb0c0ba21b52f21cc8370b17231e128a7d45064ec37526f86dbb7f07ecf7"
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
    schema = "dbf6085246ab49f973bfc935d73d9e88b134f790c1332f4f269fec632fe83404"
  }

  component "fake_target" {
    kind   = "target"
    schema = "607978d58c1ef85376356f9907bfbf5e024307cacef8eb18c98c89d8551d5a9e"
  }
}
