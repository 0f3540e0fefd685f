//go:build unix

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/runner-pipelines/runner/plugins/local/internal/control"
	"github.com/runner-pipelines/runner/plugins/local/internal/front"
	"github.com/runner-pipelines/runner/plugins/local/internal/keeper"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
	"github.com/runner-pipelines/runner/sdk"
)

// inherited is the descriptor of a link.
const inherited = 3

// addHidden adds what this program runs itself as.
func addHidden(all map[string]sdk.Command) {
	all["proxy"] = sdk.Command{Run: runKeeper}
	all["front"] = sdk.Command{Run: runFront}
}

func runKeeper(args []string) int {
	flags := newFlags("proxy", "", os.Stderr)
	dir := flags.String("state", "", "folder of the service")
	adopt := flags.Bool("adopt", false, "take over the front whose link was inherited")
	if flags.Parse(args) != nil || *dir == "" {
		return exitUsage
	}
	var link *os.File
	if *adopt {
		link = os.NewFile(inherited, "link")
	}
	return end(keeper.Run(service.Dir(*dir), link, processLog("keeper")))
}

func runFront(args []string) int {
	flags := newFlags("front", "", os.Stderr)
	dir := flags.String("state", "", "folder of the service")
	if flags.Parse(args) != nil || *dir == "" {
		return exitUsage
	}
	return end(front.Run(service.Dir(*dir), os.NewFile(inherited, "link"), processLog("front")))
}

func processLog(role string) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, nil)).With("role", role, "pid", os.Getpid())
}

func end(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, keeper.ErrHeld):
		return control.ExitHeld
	}
	fmt.Fprintln(os.Stderr, "Error:", err)
	return exitFailed
}
