package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/runner-pipelines/runner/sdk/host"
)

// work carries a prepared shape out once.
type work func(context.Context) (sample, error)

// tool is one way to carry out a shape.
type tool struct {
	name string
	// version is what it says of itself; a tool that is not installed has none.
	version string
	// prepare writes the shape into an empty folder, ready to be carried out again
	// and again, each time from the beginning.
	prepare func(ctx context.Context, dir string, s shape) (work, error)
}

func (t tool) installed() bool { return t.version != "" }

// Names of the tools, as they stand in the report.
const (
	runnerTool    = "runner apply"
	terraformTool = "Terraform"
	makeTool      = "make -j2"
	bareTool      = "bare calls"
)

// state is where a pipeline's runs are kept, beside what runner init made.
var state = filepath.Join(".runner", "state.db")

func runnerOf(ctx context.Context, p programs) (tool, error) {
	said, err := output(ctx, nil, p.runner(), "version")
	if err != nil {
		return tool{}, err
	}
	return tool{name: runnerTool, version: firstLine(said), prepare: func(ctx context.Context, dir string, s shape) (work, error) {
		if err := initialised(ctx, p, dir, s.pipeline()); err != nil {
			return nil, err
		}
		return stateless(program{dir: dir, path: p.runner(), args: []string{"apply", "-auto-approve"}}), nil
	}}, nil
}

// stateless runs a program of the runner's each time as if there had never been a run.
func stateless(p program) work {
	return func(ctx context.Context) (sample, error) {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.RemoveAll(filepath.Join(p.dir, state+suffix)); err != nil {
				return sample{}, err
			}
		}
		return p.run(ctx)
	}
}

// initialised writes a pipeline and runs runner init.
func initialised(ctx context.Context, p programs, dir, pipeline string) error {
	if err := os.WriteFile(filepath.Join(dir, "pipeline.hcl"), []byte(pipeline), 0o600); err != nil {
		return err
	}
	_, err := program{dir: dir, path: p.runner(), args: []string{"init"}}.run(ctx)
	return err
}

// terraform is whatever is installed, under a configuration of its own.
func terraform(ctx context.Context, dir string) (tool, error) {
	path, err := exec.LookPath("terraform")
	if err != nil {
		return tool{name: terraformTool}, nil
	}
	settings := filepath.Join(dir, "terraform.rc")
	if err := os.WriteFile(settings, nil, 0o600); err != nil {
		return tool{}, err
	}
	env := []string{"TF_CLI_CONFIG_FILE=" + settings, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1"}
	said, err := output(ctx, env, path, "version")
	if err != nil {
		return tool{}, err
	}
	return tool{name: terraformTool, version: firstLine(said), prepare: func(ctx context.Context, dir string, s shape) (work, error) {
		if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(s.terraform()), 0o600); err != nil {
			return nil, err
		}
		if _, err := (program{dir: dir, path: path, args: []string{"init", "-input=false"}, env: env}).run(ctx); err != nil {
			return nil, err
		}
		return func(ctx context.Context) (sample, error) {
			if err := os.RemoveAll(filepath.Join(dir, "terraform.tfstate")); err != nil {
				return sample{}, err
			}
			return program{dir: dir, path: path, args: []string{"apply", "-auto-approve", "-input=false"}, env: env}.run(ctx)
		}, nil
	}}, nil
}

func gnuMake(ctx context.Context) (tool, error) {
	path, err := exec.LookPath("make")
	if err != nil {
		return tool{name: makeTool}, nil
	}
	said, err := output(ctx, nil, path, "--version")
	if err != nil || !strings.HasPrefix(said, "GNU Make") {
		return tool{name: makeTool}, err
	}
	// Under make, a make inherits flags and job slots that are not ours.
	env := []string{"MAKEFLAGS=", "MFLAGS=", "MAKELEVEL="}
	return tool{name: makeTool, version: firstLine(said), prepare: func(_ context.Context, dir string, s shape) (work, error) {
		if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte(s.makefile()), 0o600); err != nil {
			return nil, err
		}
		return program{dir: dir, path: path, args: []string{"-j2"}, env: env}.run, nil
	}}, nil
}

// bare calls the plugin once for each stage and does nothing else.
func bare(p programs, dir string) (tool, plugin, error) {
	certificate, err := host.NewCertificate()
	if err != nil {
		return tool{}, plugin{}, err
	}
	one := plugin{program: p.local(), dir: dir, certificate: certificate}
	return tool{name: bareTool, version: "sdk/host", prepare: func(_ context.Context, _ string, s shape) (work, error) {
		return func(ctx context.Context) (sample, error) { return one.loop(ctx, s) }, nil
	}}, one, nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}
