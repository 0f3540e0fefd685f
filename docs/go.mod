module github.com/runner-pipelines/runner/docs

go 1.26
