package sdktest_test

import (
	"context"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/sdktest"
)

func TestCollect(t *testing.T) {
	var order []string
	var dir string
	ended := context.Background()
	got := sdktest.Collect(context.Background(), func(t sdktest.T) {
		t.Run("Passes", func(t sdktest.T) {
			t.Cleanup(func() { order = append(order, "first") })
			t.Cleanup(func() { order = append(order, "second") })
			dir = t.TempDir()
			ended = t.Context()
			t.Logf("a note")
		})
		t.Run("Fails", func(t sdktest.T) {
			t.Errorf("one")
			t.Errorf("two")
		})
		t.Run("Stops", func(t sdktest.T) {
			t.Fatalf("stop")
			t.Errorf("never")
		})
		t.Run("Skips", func(t sdktest.T) {
			t.Skipf("no %s", "reason")
			t.Errorf("never")
		})
		t.Run("Panics", func(sdktest.T) { panic("oh") })
		if t.Run("Outer", func(t sdktest.T) {
			t.Run("Fine", func(sdktest.T) {})
			t.Run("Inner", func(t sdktest.T) { t.Fatalf("inside") })
		}) {
			t.Errorf("a check that failed inside passed")
		}
	})
	want := []sdktest.Result{
		{Name: "Passes", Status: sdktest.Passed, Text: "a note"},
		{Name: "Fails", Status: sdktest.Failed, Text: "one\ntwo"},
		{Name: "Stops", Status: sdktest.Failed, Text: "stop"},
		{Name: "Skips", Status: sdktest.Skipped, Text: "no reason"},
		{Name: "Panics", Status: sdktest.Failed, Text: "panic: oh"},
		{Name: "Outer", Status: sdktest.Failed},
		{Name: "Outer/Fine", Status: sdktest.Passed},
		{Name: "Outer/Inner", Status: sdktest.Failed, Text: "inside"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"second", "first"}, order); d != "" {
		t.Errorf("cleanups (-want +got):\n%s", d)
	}
	if _, err := os.Stat(dir); err == nil || ended.Err() == nil {
		t.Errorf("after the check its directory is there (%v) or its context goes on (%v)", err, ended.Err())
	}
}

func TestEach(t *testing.T) {
	var got []string
	sdktest.Each(t.Context(), func(r sdktest.Result) { got = append(got, r.Name+" "+string(r.Status)) }, func(t sdktest.T) {
		t.Run("Outer", func(t sdktest.T) { t.Run("Inner", func(sdktest.T) {}) })
		t.Fatalf("there is nothing to check")
	})
	if d := cmp.Diff([]string{"Outer/Inner passed", "Outer passed", sdktest.Outside + " failed"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
