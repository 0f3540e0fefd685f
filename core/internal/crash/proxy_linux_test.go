package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/internal/figures"
)

// backWithin is how soon the port must answer again, on a quiet machine.
const backWithin = time.Second

const proxied = `runner {
  required_plugins {
    local  = { source = "runner/local" }
    canary = { source = "runner/canary" }
  }
}

pipeline "shop" {}

variable "version" {
  type = string
}

stage "web" {
  use "local_service" {
    command = ["SHOP", "-version", var.version]
    drain   = "100ms"
    grace   = "100ms"
  }
  strategy "canary" {
    steps = [50, 100]
    bake  = "1s"
  }
}
`

// The keeper and the front of a local service, and both in the same instant, are
// killed at every place that a canary passes. The run ends well each time, and the
// port is back soon: with nobody but the run's own plugin to see to it when both are
// gone.
func TestRealProxyIsBack(t *testing.T) {
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("kills the proxies of dozens of real runs; run it with: make test-real")
	}
	program, plugins := programs(t, bin, "runner-plugin-canary", "runner-plugin-local")
	sc := scenario{name: "proxied canary", pipeline: strings.Replace(proxied, "SHOP", filepath.Join(bin, "shop"), 1)}
	y := &yard{scenario: sc, program: program, plugins: plugins, ready: t.TempDir()}
	y.write(t, "pipeline.hcl", sc.pipeline)
	tr := &trial{y: y, dir: y.ready, marks: t.TempDir()}
	if code := tr.run(t.Context(), Order{}, "init"); code != 0 {
		t.Fatalf("runner init: exit code %d\n%s", code, tr.said.String())
	}
	whole := y.proxied(t, Order{})
	if whole.err != nil {
		t.Fatal(whole.err)
	}

	var mu sync.Mutex
	kills, worst := map[Victim]int{}, map[Victim]time.Duration{}
	work := make(chan Order)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for o := range work {
				got := y.proxied(t, o)
				mu.Lock()
				if got.err != nil {
					t.Errorf("%v: %v", o, got.err)
				} else if got.struck {
					kills[o.Victim]++
					worst[o.Victim] = max(worst[o.Victim], got.outage)
				}
				mu.Unlock()
			}
		})
	}
	opened := false
	for i, o := range orderAt(whole.places) {
		opened = opened || strings.HasPrefix(o.Place, "before put")
		if strings.HasPrefix(o.Place, "after retire") {
			break // the run needs nothing of the service any more, and its plugin is about to end
		}
		if opened {
			o.Victim = []Victim{Keeper, Front, Proxy}[i%3]
			work <- o
		}
	}
	close(work)
	wg.Wait()
	for _, v := range []Victim{Keeper, Front, Proxy} {
		words := map[Victim]string{Keeper: "keeper", Front: "front", Proxy: "keeper and front in the same instant"}[v]
		if kills[v] == 0 {
			t.Errorf("%s: never killed", words)
		}
		if worst[v] > 5*backWithin {
			t.Errorf("%s: the port was closed for %v", words, worst[v])
		}
		figures.Record(t, "Local proxy", "killed during a canary: "+words, "%d", kills[v])
		figures.Record(t, "Local proxy", "longest wait of a client after that: "+words, "%d ms", worst[v].Milliseconds())
	}
}

type proxiedEnd struct {
	places []string
	struck bool
	// outage is the longest that a client had to try until it was answered.
	outage time.Duration
	err    error
}

// proxied deploys a first version and then a second one, to whose proxy the order
// happens while a client asks all the time.
func (y *yard) proxied(t *testing.T, order Order) (end proxiedEnd) {
	dir, err := os.MkdirTemp("", "runner-crash-")
	if err != nil {
		return proxiedEnd{err: err}
	}
	defer os.RemoveAll(dir)
	tr, err := y.newTrial(dir)
	if err != nil {
		return proxiedEnd{err: err}
	}
	defer y.stopServices(t, tr)
	fail := func(format string, args ...any) proxiedEnd {
		end.err = fmt.Errorf(format+"\n%s", append(args, tr.said.String())...)
		return end
	}
	if code := tr.run(t.Context(), Order{}, "apply", "-auto-approve", "-var", "version=one"); code != 0 {
		return fail("the first version: exit code %d", code)
	}
	_, port, err := tr.service()
	if err != nil {
		return fail("%w", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	asked := make(chan time.Duration, 1)
	go func() { asked <- askAllTheTime(ctx, port) }()
	code := tr.run(t.Context(), order, y.apply()...)
	stop()
	end.outage, end.places, end.struck = <-asked, tr.passed, tr.struck
	stable, now, err := tr.service()
	switch {
	case err != nil:
		return fail("%w", err)
	case code != 0:
		return fail("exit code %d", code)
	case now != port:
		return fail("port %d became %d", port, now)
	case stable.Weight != 100_000 || !stable.Installed:
		return fail("the stable release is %+v", stable)
	}
	return end
}

type localRelease struct {
	ID        string
	Installed bool
	Weight    int
}

// service reads the only service's stable release, and its port.
func (tr *trial) service() (localRelease, int, error) {
	found, err := filepath.Glob(filepath.Join(tr.y.services(tr.dir), "*", "state.json"))
	if err != nil || len(found) != 1 {
		return localRelease{}, 0, fmt.Errorf("services: %v %w", found, err)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		return localRelease{}, 0, err
	}
	var s struct {
		Port     int
		Stable   string
		Releases []localRelease
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return localRelease{}, 0, err
	}
	for _, r := range s.Releases {
		if r.ID == s.Stable {
			return r, s.Port, nil
		}
	}
	return localRelease{}, s.Port, nil
}

// askAllTheTime is a client that tries again until it is answered, one request
// after the other. It returns the longest time that one took.
func askAllTheTime(ctx context.Context, port int) time.Duration {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	url := fmt.Sprintf("http://127.0.0.1:%d/api/products", port)
	var worst time.Duration
	for ctx.Err() == nil {
		began := time.Now()
		for ctx.Err() == nil {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return worst
			}
			res, err := client.Do(req)
			if err == nil {
				_ = res.Body.Close()
				if res.StatusCode == http.StatusOK {
					break
				}
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		worst = max(worst, time.Since(began))
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return worst
}

func (y *yard) stopServices(t *testing.T, tr *trial) {
	cmd := exec.Command(filepath.Join(y.plugins, "runner-plugin-local"), "stop", "-all")
	cmd.Env = append(os.Environ(), "RUNNER_LOCAL_DIR="+y.services(tr.dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("stop the services: %v\n%s", err, out)
	}
}
