// Command shop is a small web shop to deploy: it says which version it is, and
// fails and dawdles as much as it is told to.
//
// It listens at the port in the environment variable PORT, on the loopback
// address unless -host says otherwise, and finishes what it is answering when it
// gets SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// finishTime is how long answers under way may take after SIGTERM.
const finishTime = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stderr))
}

// run is the program; it returns the exit code when ctx has ended and the last
// answer is given.
func run(ctx context.Context, args []string, getenv func(string) string, errs io.Writer) int {
	cfg, host, err := parse(args, errs)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	log := slog.New(slog.NewTextHandler(errs, nil)).With("version", cfg.Version)
	port, err := strconv.ParseUint(getenv("PORT"), 10, 16)
	if err != nil {
		log.Error("the environment variable PORT must be a port number", "PORT", getenv("PORT"))
		return 2
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.FormatUint(port, 10)))
	if err != nil {
		log.Error("cannot listen", "err", err)
		return 1
	}
	server := &http.Server{Handler: New(cfg), ReadHeaderTimeout: 10 * time.Second}
	log.Info("open", "address", ln.Addr().String(), "replica", getenv("RUNNER_REPLICA"))
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	select {
	case err := <-failed:
		log.Error("server failed", "err", err)
		return 1
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), finishTime)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		log.Error("some answers were cut off", "err", err)
		return 1
	}
	log.Info("closed")
	return 0
}

func parse(args []string, errs io.Writer) (cfg Config, host string, err error) {
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.StringVar(&cfg.Version, "version", "v1", "version to answer with")
	flags.Float64Var(&cfg.FailRate, "fail-rate", 0, "share of requests, 0 to 1, to answer with status 500")
	flags.DurationVar(&cfg.Latency, "latency", 0, "time to take for each request")
	flags.StringVar(&host, "host", "127.0.0.1", "address to listen on")
	if err := flags.Parse(args); err != nil {
		return cfg, host, err
	}
	err = cfg.check()
	if flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(errs, "Error:", err)
	}
	return cfg, host, err
}
