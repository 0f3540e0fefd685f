//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/diag"
)

// check is an action that asks often and gives up soon.
func check(url string, change ...func(*HTTP)) *HTTP {
	h := NewHTTP()
	h.URL, h.Interval, h.Deadline = url, time.Millisecond, 30*time.Millisecond
	for _, f := range change {
		f(h)
	}
	return h
}

func expect(change func(*Expect)) func(*HTTP) {
	return func(h *HTTP) {
		h.Expect = &Expect{}
		h.Expect.SetDefaults()
		change(h.Expect)
	}
}

func runHTTP(t *testing.T, h *HTTP) (HTTPOutputs, error) {
	t.Helper()
	if err := h.Validate(); err != nil {
		t.Fatalf("validate: %v", err)
	}
	res, err := h.Run(t.Context(), newTranscript().request())
	out, _ := res.Outputs.(HTTPOutputs)
	return out, err
}

func TestHTTPExpectations(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/echo":
			w.Header().Set("X-Seen", req.Method+" "+req.Header.Get("X-Token")+" "+req.Host)
			body, _ := io.ReadAll(req.Body)
			fmt.Fprintf(w, "body: %s", body)
		case "/moved":
			http.Redirect(w, req, "/echo", http.StatusFound)
		case "/teapot":
			http.Error(w, "short and stout", http.StatusTeapot)
		case "/large":
			fmt.Fprint(w, strings.Repeat("x", maxBodyOutput+1))
		case "/slow":
			time.Sleep(20 * time.Millisecond)
		}
	}))
	defer s.Close()
	tests := []struct {
		name   string
		http   *HTTP
		status int64
		body   string
		wrong  []string // empty: all is as expected
	}{
		{name: "a plain page", http: check(s.URL + "/"), status: 200},
		{name: "another status", http: check(s.URL + "/teapot"), wrong: []string{"expected status 200, got 418", "tries in", "short and stout"}},
		{name: "one of some statuses", http: check(s.URL+"/teapot", expect(func(e *Expect) { e.Status = []int64{404, 418} })), status: 418, body: "short and stout\n"},
		{name: "none of them", http: check(s.URL+"/", expect(func(e *Expect) { e.Status = []int64{404, 418} })), wrong: []string{"expected status 404 or 418, got 200"}},
		{
			name: "method, headers and body", http: check(s.URL+"/echo", func(h *HTTP) {
				h.Method, h.Body, h.Headers = "POST", "hello", map[string]string{"X-Token": "t", "Host": "shop.example"}
			}, expect(func(e *Expect) {
				e.BodyContains, e.BodyMatches, e.Headers = "hello", `^body: h.l+o$`, map[string]string{"x-seen": "POST t shop.example"}
			})), status: 200, body: "body: hello",
		},
		{name: "text that is not there", http: check(s.URL+"/echo", expect(func(e *Expect) { e.BodyContains = "bye" })), wrong: []string{`a body with "bye"`, "    body:"}},
		{name: "a pattern that does not match", http: check(s.URL+"/echo", expect(func(e *Expect) { e.BodyMatches = "^bye" })), wrong: []string{`matches "^bye"`}},
		{name: "a header that is not there", http: check(s.URL+"/", expect(func(e *Expect) { e.Headers = map[string]string{"X-A": "1"} })), wrong: []string{"X-A: 1, which the answer does not have"}},
		{name: "another header", http: check(s.URL+"/echo", expect(func(e *Expect) { e.Headers = map[string]string{"X-Seen": "no"} })), wrong: []string{"X-Seen: no, got GET"}},
		{name: "a redirect is an answer", http: check(s.URL+"/moved", expect(func(e *Expect) { e.Status = []int64{302} })), status: 302, body: "<a href=\"/echo\">Found</a>.\n\n"},
		{name: "a redirect followed", http: check(s.URL+"/moved", func(h *HTTP) { h.FollowRedirects = true }), status: 200, body: "body: "},
		{name: "too slow", http: check(s.URL+"/slow", expect(func(e *Expect) { e.MaxLatency = time.Millisecond })), wrong: []string{"expected an answer within 1ms, it took"}},
		{name: "fast enough", http: check(s.URL+"/", expect(func(e *Expect) { e.MaxLatency = time.Minute })), status: 200},
		{name: "no answer in time", http: check(s.URL+"/slow", func(h *HTTP) { h.Timeout = time.Millisecond }), wrong: []string{"no answer within 1ms"}},
		{name: "a large body", http: check(s.URL + "/large"), status: 200, body: strings.Repeat("x", maxBodyOutput)},
		{name: "nobody there", http: check("http://user:hush@127.0.0.1:1/?token=hush"), wrong: []string{"connection refused", "http://127.0.0.1:1/?"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := runHTTP(t, tt.http)
			if len(tt.wrong) > 0 {
				wantProblem(t, err, "Answer not as expected", "", diag.None, tt.wrong...)
				if strings.Contains(err.Error(), "hush") {
					t.Errorf("a secret is told: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			out.LatencyMS = 0
			if diff := cmp.Diff(HTTPOutputs{Status: tt.status, Body: tt.body}, out); diff != "" {
				t.Errorf("outputs (-want +got):\n%s", diff)
			}
		})
	}
}

// flaky answers 500 to the requests whose number is listed.
func flaky(t *testing.T, bad ...int64) (url string, asked *atomic.Int64) {
	asked = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		for _, b := range bad {
			if n == b {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func TestHTTPAsksUntilContent(t *testing.T) {
	patient := func(h *HTTP) { h.Deadline = time.Minute }
	url, asked := flaky(t, 1, 2, 3)
	if _, err := runHTTP(t, check(url, patient)); err != nil || asked.Load() != 4 {
		t.Errorf("after %d requests: %v", asked.Load(), err)
	}
	// Three in a row, and the fourth breaks the first row.
	url, asked = flaky(t, 1, 4)
	if _, err := runHTTP(t, check(url, patient, func(h *HTTP) { h.Successes = 3 })); err != nil || asked.Load() != 7 {
		t.Errorf("after %d requests: %v", asked.Load(), err)
	}
	url, asked = flaky(t, 1)
	_, err := runHTTP(t, check(url, func(h *HTTP) { h.Deadline = 0 }))
	wantProblem(t, err, "Answer not as expected", "", diag.None, "(1 try in")
	if asked.Load() != 1 {
		t.Errorf("with a deadline of 0 it asked %d times", asked.Load())
	}
}

func TestHTTPCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer s.Close()
	h := check(s.URL, func(h *HTTP) { h.Interval, h.Deadline = time.Hour, 24*time.Hour })
	_, err := h.Run(ctx, newTranscript().request())
	wantProblem(t, err, "Check cancelled", "", diag.None, "1 try")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error does not say that it was cancelled: %v", err)
	}
}

func TestHTTPValidate(t *testing.T) {
	tests := []struct {
		name string
		http *HTTP
		want []string
	}{
		{"nothing wrong", check("https://x/y"), nil},
		{"no URL", check(""), []string{"url"}},
		{"not a URL", check("::"), []string{"url"}},
		{"another scheme", check("ftp://x"), []string{"url"}},
		{"no host", check("http:///x"), []string{"url"}},
		{"a bad method", check("http://x", func(h *HTTP) { h.Method = "GET IT" }), []string{"method"}},
		{"bad durations", check("http://x", func(h *HTTP) { h.Timeout, h.Interval, h.Deadline = 0, -1, -1 }), []string{"timeout", "interval", "deadline"}},
		{"no success", check("http://x", func(h *HTTP) { h.Successes = 0 }), []string{"successes"}},
		{"no time for so many", check("http://x", func(h *HTTP) { h.Successes, h.Interval = 1e15, time.Hour }), []string{"successes"}},
		{
			"bad expectations", check("http://x", expect(func(e *Expect) { e.Status, e.BodyMatches, e.MaxLatency = []int64{200, 99}, "(", -1 })),
			[]string{"expect.status[1]", "expect.body_matches", "expect.max_latency"},
		},
		{"no status", check("http://x", expect(func(e *Expect) { e.Status = nil })), []string{"expect.status"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, blamed(tt.http.Validate())); diff != "" {
				t.Errorf("blamed places (-want +got):\n%s", diff)
			}
		})
	}
}

var (
	_ action.Convergent = (*HTTP)(nil)
	_ action.Convergent = (*Noop)(nil)
	_ action.Outputter  = (*Exec)(nil)
)
