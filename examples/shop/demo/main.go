// Command demo shows what runner is for, in about a minute: it deploys a small
// shop, replaces it by canary while customers keep coming, and then tries a
// release that is broken and is rolled back by itself.
//
// It is a customer of the built programs in bin/ and knows nothing of their
// insides. Nothing of it is left when it ends, unless it is asked to -keep.
// It exits 1 when a promise was not kept.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	show := Show{Out: os.Stdout}
	flag.StringVar(&show.Bin, "bin", beside(), "folder of the built programs")
	flag.StringVar(&show.Pipeline, "pipeline", "", "pipeline file to play (default: examples/pipeline.hcl beside the folder of the programs)")
	flag.IntVar(&show.Rate, "rate", 300, "requests a second")
	flag.BoolVar(&show.Keep, "keep", false, "leave the shop running and the working directory in place")
	load := flag.String("load", "", "only send requests to the shop at this `address`, until interrupted")
	flag.Parse()
	if *load != "" {
		customers := StartLoad(strings.TrimSuffix(*load, "/"), show.Rate)
		<-ctx.Done()
		PrintAnswers(os.Stdout, customers.Stop())
		return 0
	}
	if show.Pipeline == "" {
		show.Pipeline = filepath.Join(filepath.Dir(show.Bin), "examples", "pipeline.hcl")
	}
	report, err := show.Play(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		if ctx.Err() != nil {
			return 130
		}
		return 1
	}
	report.Print(os.Stdout)
	if len(report.Broken()) > 0 {
		return 1
	}
	return 0
}

// beside is the folder that this program lies in.
func beside() string {
	self, err := os.Executable()
	if err != nil {
		return "bin"
	}
	return filepath.Dir(self)
}
