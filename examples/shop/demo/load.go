package main

import (
	"net/http"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// versionHeader is where the shop says which release answered.
const versionHeader = "X-Shop-Version"

// Load sends requests to the shop at a constant rate from Start to Stop and
// counts what comes back.
type Load struct {
	attacker *vegeta.Attacker
	done     chan struct{}

	mu      sync.Mutex
	answers map[string]*Answers
}

// Answers are those of one release, or of nobody.
type Answers struct {
	vegeta.Metrics
	// Injected are failures that the release itself made: answers with status 500.
	Injected int
	// Lost are all other failures: what a client would blame a deployment for.
	Lost int
	// Why holds the first of those.
	Why string
	// Last is when the last answer came.
	Last time.Time
}

// Nobody stands for the release of a request that no release answered.
const Nobody = ""

// StartLoad begins to send perSecond requests a second to the shop at address.
func StartLoad(address string, perSecond int) *Load {
	l := &Load{
		attacker: vegeta.NewAttacker(vegeta.Timeout(10*time.Second), vegeta.KeepAlive(true)),
		done:     make(chan struct{}),
		answers:  map[string]*Answers{},
	}
	shoppers := vegeta.NewStaticTargeter(
		vegeta.Target{Method: http.MethodGet, URL: address + "/"},
		vegeta.Target{Method: http.MethodGet, URL: address + "/api/products"},
		vegeta.Target{Method: http.MethodPost, URL: address + "/api/order", Body: []byte(`{"product":"kettle","quantity":1}`),
			Header: http.Header{"Content-Type": {"application/json"}}},
	)
	results := l.attacker.Attack(shoppers, vegeta.ConstantPacer{Freq: perSecond, Per: time.Second}, 0, "demo")
	go func() {
		defer close(l.done)
		for r := range results {
			l.add(r)
		}
	}()
	return l
}

// Stop sends no more, waits for the answers that are due and returns all, by release.
func (l *Load) Stop() map[string]*Answers {
	l.attacker.Stop()
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.answers {
		a.Close()
	}
	return l.answers
}

// Count is how many answers of a release came so far.
func (l *Load) Count(release string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.answers[release]; a != nil {
		return int(a.Requests)
	}
	return 0
}

func (l *Load) add(r *vegeta.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	release := r.Headers.Get(versionHeader)
	a := l.answers[release]
	if a == nil {
		a = &Answers{}
		l.answers[release] = a
	}
	a.Add(r)
	if end := r.End(); end.After(a.Last) {
		a.Last = end
	}
	switch {
	case release != Nobody && r.Code == http.StatusInternalServerError:
		a.Injected++
	case r.Error != "":
		a.Lost++
		if a.Why == "" {
			a.Why = r.Error
		}
	}
}
