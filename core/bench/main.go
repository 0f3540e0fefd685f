// Command bench measures what the runner itself costs: no-op stages through a
// real plugin process and a durable journal, beside Terraform, GNU make and a
// bare loop of plugin calls, all in one run.
//
// It runs the programs that make build has left in bin/, prints a report, and
// with -write puts it into a page. What takes how long is never an error; a
// program that does not do its work is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"github.com/runner-pipelines/runner/core/internal/page"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options of a benchmark.
type options struct {
	bin   string
	page  string
	reps  int
	spend time.Duration
	small bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var opts options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&opts.bin, "bin", "bin", "measure the programs in this `dir`")
	fs.StringVar(&opts.page, "write", "", "put the report into this `page`, between its markers")
	fs.IntVar(&opts.reps, "reps", 5, "measure everything `n` times; slow ones less often")
	fs.DurationVar(&opts.spend, "spend", 20*time.Second, "measure a thing again only while it has taken less than this `duration` in all")
	fs.BoolVar(&opts.small, "small", false, "leave out what has more than 100 stages")
	if err := fs.Parse(args); err != nil {
		return err
	}
	bin, err := filepath.Abs(opts.bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "runner-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b, err := prepare(ctx, programs{bin}, dir, opts.small)
	if err != nil {
		return err
	}
	if err := b.measure(ctx, opts.reps, opts.spend, stderr); err != nil {
		return err
	}
	report, err := b.report()
	if err != nil {
		return err
	}
	if _, err := stdout.Write(report); err != nil {
		return err
	}
	if opts.page == "" {
		return nil
	}
	return page.Write(opts.page, "make bench", report)
}

// programs are those that make build has left in a folder.
type programs struct{ dir string }

func (p programs) runner() string { return p.path("runner") }
func (p programs) local() string  { return p.path("runner-plugin-local") }

func (p programs) path(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(p.dir, name)
}
