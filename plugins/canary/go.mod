module github.com/runner-pipelines/runner/plugins/canary

go 1.26

require github.com/runner-pipelines/runner/sdk v0.0.0

replace github.com/runner-pipelines/runner/sdk => ../../sdk
