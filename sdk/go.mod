module github.com/runner-pipelines/runner/sdk

go 1.26
