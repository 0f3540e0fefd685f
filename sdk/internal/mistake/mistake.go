// Package mistake is for the tests of the conformance suites: a component with
// one mistake must fail the checks that are there for it, and no others.
package mistake

import (
	"context"
	"testing"

	"github.com/runner-pipelines/runner/sdk/sdktest"
)

// Find runs the checks and compares the names of those that fail, in any order.
func Find(t *testing.T, want []string, checks func(sdktest.T)) {
	t.Helper()
	failed := map[string]string{}
	for _, r := range sdktest.Collect(context.Background(), checks) {
		if r.Status == sdktest.Failed {
			failed[r.Name] = r.Text
		}
	}
	for _, name := range want {
		if _, ok := failed[name]; !ok {
			t.Errorf("%s does not fail", name)
		}
		delete(failed, name)
	}
	for name, text := range failed {
		t.Errorf("%s fails: %.500s", name, text)
	}
}
