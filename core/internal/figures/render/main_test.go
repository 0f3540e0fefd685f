package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/internal/page"
)

func TestFiguresBecomeTablesByTopic(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(figures.Env, dir)
	figures.Record(t, "Locks", "kills", "%d", 7)
	t.Run("Inner", func(t *testing.T) {
		figures.Record(t, "Crashes", "a | b", "%s", "3 ms")
		figures.Record(t, "Locks", "doubled", "%d", 0)
	})
	begin, end := page.Markers(command)
	path := filepath.Join(dir, "page.md")
	if err := os.WriteFile(path, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(got), ".\n")
	want := `
### Crashes

|  |  |
| --- | --- |
| a \| b | 3 ms |

### Locks

|  |  |
| --- | --- |
| kills | 7 |
| doubled | 0 |
` + end + "after\n"
	if diff := cmp.Diff(want, tables); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestNothingIsWrittenWithoutFigures(t *testing.T) {
	dir := t.TempDir()
	if err := run(dir, filepath.Join(dir, "page.md")); err == nil {
		t.Error("a page was written of nothing")
	}
	if err := os.WriteFile(filepath.Join(dir, "T.jsonl"), []byte("{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, ""); err == nil {
		t.Error("a damaged record is taken")
	}
}
