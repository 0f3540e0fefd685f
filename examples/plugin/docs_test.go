package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The page that walks through this program shows the program as it is.
func TestDocsShowThisProgram(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	page, code := read("../../docs/writing-a-plugin.md"), read("main.go")+read("main_test.go")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(blocks) < 8 {
		t.Fatalf("the page has %d pieces of code; were they renamed?", len(blocks))
	}
	shown := 0
	for _, b := range blocks {
		for piece := range strings.SplitSeq(b[1], "\n\n") {
			if !strings.Contains(code, strings.TrimSpace(piece)) {
				t.Errorf("the page shows what is not in the program:\n%s", piece)
			}
		}
		shown += len(b[1])
	}
	if whole := len(read("main.go")); shown < whole {
		t.Errorf("the page shows %d bytes of code, the program alone has %d: something is missing", shown, whole)
	}
}
