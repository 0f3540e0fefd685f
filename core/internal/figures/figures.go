// Package figures lets tests say what they measured. `make reliability` collects
// it into docs/reliability.md; in any other test run it costs nothing.
package figures

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Env names the directory that figures are written to. Unset, none are.
const Env = "RUNNER_FIGURES"

// Figure is one row of the page: what was tried, and what came of it.
type Figure struct {
	// Topic is the heading that the row stands under, such as "Crashes".
	Topic string `json:"topic"`
	// What the figure counts, in the words of the page, such as "runners killed".
	What string `json:"what"`
	// Value with its unit, such as "1,204" or "41 ms".
	Value string `json:"value"`
}

// T is the part of *testing.T that is needed here.
type T interface {
	Helper()
	Name() string
	Errorf(format string, args ...any)
	Failed() bool
}

// Record notes one figure of the test. The figures of one test keep their
// order; those of a failed test are not written.
func Record(t T, topic, what, format string, args ...any) {
	t.Helper()
	dir := os.Getenv(Env)
	if dir == "" || t.Failed() {
		return
	}
	name := strings.NewReplacer("/", "_", " ", "_").Replace(t.Name()) + ".jsonl"
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Errorf("record a figure: %v", err)
		return
	}
	err = json.NewEncoder(f).Encode(Figure{Topic: topic, What: what, Value: fmt.Sprintf(format, args...)})
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		t.Errorf("record a figure: %v", err)
	}
}
