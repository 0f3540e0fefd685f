// Command runner takes a pipeline from commit to production.
package main

import (
	"os"

	"github.com/runner-pipelines/runner/core/cli"
)

// version is set when a release is built.
var version = "0.1.0"

func main() { os.Exit(cli.Main(version)) }
