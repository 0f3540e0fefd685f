// Command render writes the figures that tests recorded into docs/reliability.md;
// make reliability calls it.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/internal/page"
)

func main() {
	from := flag.String("from", "", "`folder` that the tests have written to")
	write := flag.String("write", "", "`page` to write into; only shown when empty")
	flag.Parse()
	if err := run(*from, *write); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func run(from, write string) error {
	all, err := read(from)
	if err != nil {
		return err
	}
	out := render(all)
	if write == "" {
		_, err = os.Stdout.Write(out)
		return err
	}
	return page.Write(write, command, out)
}

// command is what the markers of the page name.
const command = "make reliability"

// read gathers the figures of all tests, those of one test in their order.
func read(dir string) ([]figures.Figure, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no test has recorded anything in %q", dir)
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var all []figures.Figure
	for _, path := range files {
		b, rerr := os.ReadFile(path)
		err = errors.Join(err, rerr)
		for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
			var f figures.Figure
			if jerr := json.Unmarshal(lines.Bytes(), &f); jerr != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", path, jerr))
				continue
			}
			all = append(all, f)
		}
	}
	return all, err
}

// render is the part of the page between its markers: a table for each topic.
func render(all []figures.Figure) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "Measured on: %s.\n", page.Machine())
	topics := map[string][][]string{}
	for _, f := range all {
		topics[f.Topic] = append(topics[f.Topic], []string{cell(f.What), cell(f.Value)})
	}
	var names []string
	for name := range topics {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&out, "\n### %s\n\n", name)
		page.Table(&out, []string{"", ""}, topics[name])
	}
	return out.Bytes()
}

// cell keeps a text from ending its cell.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s)
}
