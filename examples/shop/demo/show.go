package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// The releases of the demo.
const (
	good1, good2, bad = "v1", "v2", "v3"
	badRate           = "0.2"
)

// Show is one performance of the demo.
type Show struct {
	// Bin is the folder of the programs, Pipeline the file to play.
	Bin, Pipeline string
	// Rate is how many requests a second the customers send.
	Rate int
	// Keep leaves the shop running and the files in place.
	Keep bool
	// Out is where the story is told.
	Out io.Writer
}

// Play deploys three releases while customers keep coming. An error means
// that the demo could not be played to its end; whether the promises
// were kept is the report's business.
func (s *Show) Play(ctx context.Context) (_ *Report, err error) {
	began := time.Now()
	stage, err := s.build()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.clear(s.Keep)) }()

	s.say("The shop will be at %s.\n\n$ runner init", stage.address)
	if err := stage.runner.Init(ctx); err != nil {
		return nil, err
	}
	s.say("\n%s is the first release. It goes straight to 100%%.", good1)
	if _, err := s.deploy(ctx, stage, good1, "0", Promoted); err != nil {
		return nil, err
	}

	s.say("\nNow customers come, %d requests a second, and stay until the end.", s.Rate)
	load := StartLoad(stage.address, s.Rate)
	defer load.Stop()

	report := &Report{}
	s.say("%s follows by canary.", good2)
	steps, err := s.deploy(ctx, stage, good2, "0", Promoted)
	if err != nil {
		return nil, err
	}
	report.Shares = steps.shares

	s.say("\n%s fails every fifth request. Nobody watches but runner.", bad)
	steps, err = s.deploy(ctx, stage, bad, badRate, RolledBack)
	if err != nil {
		return nil, err
	}
	report.RolledBack = true
	report.Back = steps.zero.Sub(steps.verdict)

	if err := stillServes(ctx, stage.address, good2); err != nil {
		return nil, err
	}
	report.Answers = load.Stop()
	report.Took = time.Since(began)
	report.Next = s.next(stage)
	return report, nil
}

// progress is what was seen of one deployment.
type progress struct {
	shares        []string
	verdict, zero time.Time
	// why the way back was taken.
	why string
}

func (s *Show) deploy(ctx context.Context, st *stage, version, failRate string, want Outcome) (*progress, error) {
	s.say("\n$ runner apply -var version=%s -var fail_rate=%s", version, failRate)
	p := &progress{}
	got, err := st.runner.Apply(ctx, map[string]string{
		"shop": st.shop, "port": st.port, "version": version, "fail_rate": failRate,
	}, func(e Event) {
		switch e.Kind {
		case WeightSet:
			s.say("  %6.1fs  %s has %s", time.Since(st.began).Seconds(), version, e.Weight)
			if e.Weight == "0%" {
				if p.zero.IsZero() && !p.verdict.IsZero() {
					p.zero = e.Time
				}
			} else {
				p.shares = append(p.shares, e.Weight)
			}
		case Aborting:
			p.why = e.Text
		case HarmFound:
			if p.verdict.IsZero() {
				p.verdict = e.Time
				s.say("  %6.1fs  %s", time.Since(st.began).Seconds(), e.Text)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("deploying %s: %w", version, err)
	}
	if got != want {
		return nil, fmt.Errorf("deploying %s: it was %s, and should have been %s; %s", version, got, want, p.why)
	}
	s.say("  %6.1fs  %s", time.Since(st.began).Seconds(), got)
	return p, nil
}

func (s *Show) say(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }

// next are the things to try after the show.
func (s *Show) next(st *stage) []string {
	if !s.Keep {
		return []string{
			"make run ARGS=-keep        leaves the shop running, to look around in",
			"examples/pipeline.hcl      is all there is to this deployment; change its steps and run again",
			"docs/writing-a-pipeline.md tells what else a pipeline can say",
		}
	}
	runner, local := st.runner.Program, st.local.Program
	return []string{
		"cd " + st.dir,
		"export " + servicesVar + "=" + st.services,
		runner + " history",
		filepath.Join(s.Bin, "demo"+exe) + " -load " + st.address + " &        # without customers there is no evidence",
		runner + " apply -var shop=" + st.shop + " -var port=" + st.port + " -var version=v4",
		local + " ls",
		local + " stop -all && rm -r " + filepath.Dir(st.dir) + "     # clears it all away",
	}
}

// servicesVar tells the local plugin where it keeps its services.
const servicesVar = "RUNNER_LOCAL_DIR"

// stage is the place in which the demo plays: a folder and a port of its own, so
// that it meets nothing of yours.
type stage struct {
	// dir holds the pipeline, services what the local plugin installs.
	dir, services string
	shop          string
	port, address string
	began         time.Time
	runner        *Runner
	local         *Local
}

func (s *Show) build() (*stage, error) {
	bin, err := filepath.Abs(s.Bin)
	if err != nil {
		return nil, err
	}
	s.Bin = bin
	for _, name := range []string{"runner", "runner-plugin-local", "runner-plugin-canary", "shop"} {
		if _, err := os.Stat(filepath.Join(bin, name+exe)); err != nil {
			return nil, fmt.Errorf("the demo needs %s in %s; run make build", name, bin)
		}
	}
	text, err := os.ReadFile(s.Pipeline)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "runner-demo-")
	if err != nil {
		return nil, err
	}
	st := &stage{
		dir: filepath.Join(root, "shop"), services: filepath.Join(root, "services"),
		shop: filepath.Join(bin, "shop"+exe), port: strconv.Itoa(port),
		address: "http://127.0.0.1:" + strconv.Itoa(port), began: time.Now(),
	}
	env := environment(servicesVar + "=" + st.services)
	st.runner = &Runner{Program: filepath.Join(bin, "runner"+exe), Dir: st.dir, Env: env}
	st.local = &Local{Program: filepath.Join(bin, "runner-plugin-local"+exe), Env: env}
	err = os.Mkdir(st.dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(st.dir, "pipeline.hcl"), text, 0o644)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(root))
	}
	return st, nil
}

// clear stops what was installed and removes the folder.
func (st *stage) clear(keep bool) error {
	if keep {
		return nil
	}
	if err := st.local.StopAll(); err != nil {
		return fmt.Errorf("stopping the shop, which is left in %s: %w", st.services, err)
	}
	return os.RemoveAll(filepath.Dir(st.dir))
}

// freePort is a port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// stillServes checks that the release answers.
func stillServes(ctx context.Context, address, release string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if got := res.Header.Get(versionHeader); got != release {
		return fmt.Errorf("after the rollback %q answers, and it should be %s", got, release)
	}
	return nil
}
