//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// load is clients that ask without a pause.
type load struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu      sync.Mutex
	answers map[string]int
	failed  []string
}

// startLoad has some clients ask the address, half of them on connections they
// keep, half on a new one each time.
func startLoad(t *testing.T, url string, clients int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel, answers: map[string]int{}}
	for i := range clients {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
		l.wait.Go(func() {
			defer client.CloseIdleConnections()
			for n := 0; ctx.Err() == nil; n++ {
				method, body := http.MethodGet, io.Reader(nil)
				if n%4 == 0 {
					method, body = http.MethodPost, strings.NewReader("an order")
				}
				l.ask(client, method, url, body)
			}
		})
	}
	t.Cleanup(func() { l.stop() })
	return l
}

func (l *load) ask(client *http.Client, method, url string, body io.Reader) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		panic(err)
	}
	answer := ""
	res, err := client.Do(req)
	if err == nil {
		var b []byte
		if b, err = io.ReadAll(res.Body); err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", res.Status, b)
		}
		answer = string(b)
		res.Body.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = append(l.failed, err.Error())
		return
	}
	l.answers[answer]++
}

// stop ends the clients after their last answer.
func (l *load) stop() {
	l.cancel()
	l.wait.Wait()
}

func (l *load) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, count := range l.answers {
		n += count
	}
	return n
}

// waitFor blocks until the clients got some more answers.
func (l *load) waitFor(t *testing.T, more int) {
	t.Helper()
	for want := l.total() + more; l.total() < want; {
		if t.Context().Err() != nil {
			t.Fatal("the clients get no answers")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestSwitchesDropNothing switches a service over twenty times, whole releases
// coming and going, while clients ask without a pause.
func TestSwitchesDropNothing(t *testing.T) {
	d := deploy(t, func(s *Service) { s.Replicas = 2 })
	d.first("v0")
	l := startLoad(t, d.url(), 6)
	began := time.Now()
	const switches = 20
	for i := 1; i <= switches; i++ {
		next, old := fmt.Sprintf("v%d", i), fmt.Sprintf("v%d", i-1)
		d.install(next)
		d.setWeight(next, 100)
		for range 10 {
			if _, body := get(t, d.url()); body != next {
				t.Errorf("switch %d: a request after it went to %s", i, body)
			}
		}
		l.waitFor(t, 20)
		d.settle(next)
		d.retire(old)
	}
	l.stop()
	t.Logf("%d switches in %v, %d requests, %d failed", switches, time.Since(began).Round(time.Millisecond), l.total(), len(l.failed))
	if len(l.failed) > 0 {
		t.Errorf("%d of %d requests failed, the first one: %s", len(l.failed), l.total(), l.failed[0])
	}
}

// TestCanaryGetsItsShare counts where requests go at each step of a canary.
func TestCanaryGetsItsShare(t *testing.T) {
	d := deploy(t, nil)
	d.first("v1")
	d.install("v2")
	for _, step := range []struct {
		percent  float64
		requests int
	}{{5, 100}, {25, 100}, {0.5, 400}, {50, 50}, {0, 50}} {
		d.setWeight("v2", step.percent)
		hits := 0
		for range step.requests {
			if _, body := get(t, d.url()); body == "v2" {
				hits++
			}
		}
		want := step.percent / 100 * float64(step.requests)
		if off := float64(hits) - want; off < -2 || off > 2 || step.percent == 0 && hits > 0 {
			t.Errorf("at %v%%, %d of %d requests went to the candidate, want %v", step.percent, hits, step.requests, want)
		}
	}
}
