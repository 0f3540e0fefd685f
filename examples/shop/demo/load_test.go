package main

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// Three kinds of failure must not be taken for one another: the release's own
// 500, another status of the release, and an answer of nobody.
func TestLoadTellsFailuresApart(t *testing.T) {
	var n atomic.Int64
	enough := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) {
		case 10:
			w.Header().Set(versionHeader, "v3")
			w.WriteHeader(http.StatusInternalServerError)
		case 11:
			w.Header().Set(versionHeader, "v3")
			w.WriteHeader(http.StatusNotFound)
		case 12:
			w.WriteHeader(http.StatusBadGateway)
		case 60:
			close(enough)
			fallthrough
		default:
			w.Header().Set(versionHeader, "v1")
		}
	}))
	defer srv.Close()
	load := StartLoad(srv.URL, 500)
	<-enough
	got := load.Stop()

	v1, v3, nobody := got["v1"], got["v3"], got[Nobody]
	if v1 == nil || v3 == nil || nobody == nil || len(got) != 3 {
		t.Fatalf("releases that answered: %v, want v1, v3 and nobody", got)
	}
	if sum := v1.Requests + v3.Requests + nobody.Requests; sum != uint64(n.Load()) {
		t.Errorf("counted %d answers, the server gave %d", sum, n.Load())
	}
	for name, tt := range map[string]struct {
		answers        *Answers
		injected, lost int
	}{
		"v1":     {v1, 0, 0},
		"v3":     {v3, 1, 1},
		"nobody": {nobody, 0, 1},
	} {
		if tt.answers.Injected != tt.injected || tt.answers.Lost != tt.lost {
			t.Errorf("%s: %d injected and %d lost, want %d and %d", name, tt.answers.Injected, tt.answers.Lost, tt.injected, tt.lost)
		}
	}
	if v3.Why != "404 Not Found" {
		t.Errorf("reason of the loss: %q", v3.Why)
	}
}

// A connection that breaks off is nobody's answer, and counted.
func TestLoadCountsRequestsWithoutAnswer(t *testing.T) {
	hit := make(chan struct{}, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
		select {
		case hit <- struct{}{}:
		default:
		}
	}))
	defer srv.Close()
	load := StartLoad(srv.URL, 500)
	<-hit
	got := load.Stop()
	if a := got[Nobody]; a == nil || a.Lost != int(a.Requests) || a.Why == "" {
		t.Errorf("answers: %+v, want every request lost, with a reason", got)
	}
}
