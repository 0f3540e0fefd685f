module github.com/runner-pipelines/runner/plugins/canary

go 1.26

require (
	github.com/google/go-cmp v0.7.0
	github.com/runner-pipelines/runner/sdk v0.0.0
	pgregory.net/rapid v1.3.0
)

replace github.com/runner-pipelines/runner/sdk => ../../sdk
