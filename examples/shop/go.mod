module github.com/runner-pipelines/runner/examples/shop

go 1.26
