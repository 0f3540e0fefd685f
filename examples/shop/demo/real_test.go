package main

import (
	"os"
	"testing"
	"time"
)

// The demo keeps its promises, with the built programs and real traffic, and
// leaves nothing behind.
func TestRealDemo(t *testing.T) {
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("plays the demo with the built programs, which takes a minute; run it with: make test-real")
	}
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	show := Show{Bin: bin, Pipeline: "../../pipeline.hcl", Rate: 300, Out: t.Output()}
	report, err := show.Play(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report.Print(t.Output())
	for _, b := range report.Broken() {
		t.Error(b)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	t.Logf("from the verdict to 0%%: %s", report.Back.Round(time.Millisecond))
}
