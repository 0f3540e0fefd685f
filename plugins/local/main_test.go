//go:build unix

package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/runner-pipelines/runner/plugins/local/internal/service"
	"github.com/runner-pipelines/runner/sdk"
)

// TestMain makes the test binary everything that the tests start: the service
// that is deployed, and this program's own processes.
func TestMain(m *testing.M) {
	// The SDK starts this program once more to look after commands.
	if os.Getenv("RUNNER_GUARD") != "" {
		sdk.Serve(plugin())
	}
	if len(os.Args) > 1 {
		if os.Args[1] == testServiceArg {
			os.Exit(testService(os.Args[2:]))
		}
		if os.Args[1] == testInstallerArg {
			os.Exit(testInstaller(os.Args[2]))
		}
		if os.Args[1] == testPluginArg {
			sdk.Serve(plugin())
		}
		if c, ok := commands()[os.Args[1]]; ok {
			os.Exit(c.Run(os.Args[2:]))
		}
	}
	os.Exit(run(m))
}

// testRoot is the environment variable with the folder for services.
const testRoot = "RUNNER_LOCAL_TEST_ROOT"

// run gives all tests one folder for services and sees to it that they leave none.
func run(m *testing.M) int {
	// A plugin that a suite starts works in the folder of the suite.
	if root := os.Getenv(testRoot); root != "" {
		os.Setenv("RUNNER_LOCAL_DIR", root)
		return m.Run()
	}
	root, err := os.MkdirTemp("", "runner-local-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(root)
	os.Setenv("RUNNER_LOCAL_DIR", root)
	// A program built to detect races waits a second before it exits.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	code := m.Run()
	if left, err := service.List(root); err != nil || len(left) > 0 {
		fmt.Fprintln(os.Stderr, "services are left behind:", left, err)
		return 1
	}
	return code
}
