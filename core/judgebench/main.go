// Command judgebench plays worlds against the judge of sdk/analysis, and against
// the rules of other programs, thousands of times: how often a healthy candidate
// is aborted, how soon a bad one is, and how often one passes that should not.
//
// With -write it puts its tables into a page. Every trial has its own seed, so the
// same number of trials gives the same tables. All rows use one configuration of
// the judge; what a row changes is in its name.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "judgebench:", err)
		os.Exit(1)
	}
}

const (
	beginMarker = "<!-- written by make bench-judge: begin -->\n"
	endMarker   = "<!-- written by make bench-judge: end -->\n"
)

func run(args []string, stdout, stderr io.Writer) error {
	b := bench{progress: stderr}
	var page, only string
	fs := flag.NewFlagSet("judgebench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&page, "write", "", "put the tables into this `page`, between its markers")
	fs.IntVar(&b.runs, "runs", 2000, "play each row `n` times")
	fs.IntVar(&b.seconds, "seconds-runs", 0, "play rows with a look a second `n` times; 0 is as often as the others")
	fs.IntVar(&b.workers, "workers", runtime.GOMAXPROCS(0), "play on `n` processors")
	fs.StringVar(&only, "only", "", "play only sections whose heading matches this `expression`")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if b.seconds <= 0 {
		b.seconds = b.runs
	}
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d trials a row, %d where one looks once a second.\n", b.runs, b.seconds)
	for _, s := range sections {
		if !match.MatchString(s.heading) {
			continue
		}
		fmt.Fprintf(stderr, "%s\n", s.heading)
		fmt.Fprintf(&out, "\n### %s\n\n%s\n\n", s.heading, s.text)
		s.play(&b, &out)
	}
	if _, err := stdout.Write(out.Bytes()); err != nil || page == "" {
		return err
	}
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	written, err := put(old, out.Bytes())
	if err != nil {
		return err
	}
	return os.WriteFile(page, written, 0o644)
}

// put replaces what is between the markers of a page.
func put(page, tables []byte) ([]byte, error) {
	before, rest, begun := bytes.Cut(page, []byte(beginMarker))
	_, after, ended := bytes.Cut(rest, []byte(endMarker))
	if !begun || !ended {
		return nil, fmt.Errorf("the page does not have the markers %q and %q", beginMarker, endMarker)
	}
	return bytes.Join([][]byte{before, []byte(beginMarker), tables, []byte(endMarker), after}, nil), nil
}
