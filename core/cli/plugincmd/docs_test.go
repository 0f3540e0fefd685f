package plugincmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page that walks through the example shows it as it is.
func TestDocsShowTheExample(t *testing.T) {
	read := func(names ...string) string {
		b, err := os.ReadFile(filepath.Join(append([]string{"..", "..", ".."}, names...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	page := read("docs", "plugins-in-any-language.md")
	program := read("examples", "node-plugin", "runner-plugin-greet") + read("examples", "node-plugin", "src", "greet.js")
	for fence, from := range map[string]struct {
		text  string
		least int
	}{
		"js\n":      {program, 4},
		"\naction ": {read("examples", "node-plugin", "conformance.hcl"), 1},
	} {
		blocks := regexp.MustCompile("(?s)```"+fence+"(.*?)```").FindAllStringSubmatch(page, -1)
		if len(blocks) < from.least {
			t.Errorf("the page has %d pieces after %q; were they renamed?", len(blocks), fence)
		}
		for _, b := range blocks {
			if !strings.Contains(from.text, strings.TrimSpace(b[1])) {
				t.Errorf("the page shows what is not in the example:\n%s", b[1])
			}
		}
	}
}
