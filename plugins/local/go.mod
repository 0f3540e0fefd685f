module github.com/runner-pipelines/runner/plugins/local

go 1.26.0

require github.com/runner-pipelines/runner/sdk v0.0.0

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/prometheus/common v0.73.1 // indirect
	golang.org/x/sys v0.49.0 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)

replace github.com/runner-pipelines/runner/sdk => ../../sdk
