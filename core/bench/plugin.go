package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

// noop is the component that all measurements use.
const noop = "local_noop"

// parallelism is what runner, and Terraform, have by default.
const parallelism = 10

// plugin starts programs of plugins as the runner does, without a runner.
type plugin struct {
	program     string
	dir         string
	certificate *host.Certificate
}

func (p plugin) start(ctx context.Context) (*host.Process, error) {
	return host.Start(ctx, host.Config{
		Name: "local", Command: []string{p.program}, Dir: p.dir, Env: os.Environ(),
		Certificate: p.certificate, Log: slog.New(slog.DiscardHandler),
	})
}

// loop is the bare loop: one process, and one call for every stage of the shape.
func (p plugin) loop(ctx context.Context, s shape) (sample, error) {
	started := time.Now()
	process, err := p.start(ctx)
	if err != nil {
		return sample{}, err
	}
	defer process.Stop(time.Second)
	err = calls(ctx, process, s)
	return sample{wall: time.Since(started)}, err
}

func calls(ctx context.Context, process *host.Process, s shape) error {
	workers := parallelism
	if s.chain {
		workers = 1
	}
	todo := make(chan string, s.stages)
	s.each(func(name, _ string) { todo <- name })
	close(todo)
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for name := range todo {
				if err := act(ctx, process, name); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// act is the call that a stage is.
func act(ctx context.Context, process *host.Process, node string) error {
	_, err := process.RunAction(ctx, call.Call{Key: uuid.NewString(), Run: "bench", Pipeline: "bench", Node: node, Attempt: 1}, noop, value.Empty(), nil, sink{})
	return err
}

// sink wants nothing of what happens.
type sink struct{}

func (sink) Log(host.Line)            {}
func (sink) Progress(int, string)     {}
func (sink) Handle(call.Handle) error { return nil }

// launch is from nothing to the first answer.
func (p plugin) launch(ctx context.Context) (sample, error) {
	started := time.Now()
	process, err := p.start(ctx)
	if err != nil {
		return sample{}, err
	}
	defer process.Stop(time.Second)
	err = act(ctx, process, "first")
	return sample{wall: time.Since(started)}, err
}

// quantiles are how long one call takes, one after the other.
type quantiles struct{ p50, p99 time.Duration }

const warmUp, timed = 200, 2000

// latency measures the cheapest question and the operation that a stage is.
func (p plugin) latency(ctx context.Context) (question, operation quantiles, err error) {
	process, err := p.start(ctx)
	if err != nil {
		return question, operation, err
	}
	defer process.Stop(time.Second)
	question, err = latencyOf(func() error {
		diags, err := process.Validate(ctx, schema.KindAction, noop, value.Empty())
		if err == nil && len(diags) > 0 {
			err = fmt.Errorf("an empty body of %s is not valid: %v", noop, diags)
		}
		return err
	})
	if err != nil {
		return question, operation, err
	}
	operation, err = latencyOf(func() error { return act(ctx, process, "one") })
	return question, operation, err
}

func latencyOf(f func() error) (quantiles, error) {
	var all []time.Duration
	for i := range warmUp + timed {
		started := time.Now()
		if err := f(); err != nil {
			return quantiles{}, err
		}
		if i >= warmUp {
			all = append(all, time.Since(started))
		}
	}
	slices.Sort(all)
	return quantiles{p50: all[len(all)/2], p99: all[len(all)*99/100]}, nil
}
