# What runner plugin test ./runner-plugin-greet tries the components with.

action "greet" {
  valid = [
    { file = "${dir}/greeting" },
    { file = "${dir}/greeting", name = "Ada", after = "10ms" },
  ]
  invalid = [
    { config = { file = "${dir}/greeting", name = "" }, at = "name" },
    { config = { file = "${dir}/greeting", after = "-1s" }, at = "after" },
    { config = { name = "Ada" }, at = "file" },
  ]
  fails = [{ file = "${dir}/no/such/folder" }]
  slow  = { file = "${dir}/late", after = "1h" }
}

target "flag" {
  fresh   = { file = "${dir}/flag-${count}.json", text = "Hello" }
  invalid = [{ config = { file = 7, text = "Hello" }, at = "file" }]
}

strategy "halves" {
  valid     = [{}, { bake = "0s" }, { bake = "1d", approve = "go" }]
  invalid   = [{ config = { bake = "-1m" }, at = "bake" }]
  approvals = ["go"]
  worlds    = 200
}
