//go:build unix

package front

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/plugins/local/internal/link"
	"github.com/runner-pipelines/runner/sdk/target"
)

func TestNobodyHasTraffic(t *testing.T) {
	l := newLead(t)
	l.route()
	if code, body := fetch(t, l.public()); code != 503 || !strings.Contains(body, "No release") {
		t.Errorf("%d %q", code, body)
	}
	l.route(link.Route{Release: "a", Weight: target.Full})
	if code, body := fetch(t, l.public()); code != 503 || !strings.Contains(body, "No replica") {
		t.Errorf("%d %q", code, body)
	}
}

// TestDeadReplicaIsPassedOver: what was not sent is sent to the next one, body and all.
func TestDeadReplicaIsPassedOver(t *testing.T) {
	l := newLead(t)
	alive := replica(t, func(w http.ResponseWriter, req *http.Request) { _, _ = io.Copy(w, req.Body) })
	l.route(link.Route{Release: "a", Weight: target.Full, Replicas: []string{dead(t), alive, dead(t)}})
	for i := range 12 {
		res, err := http.Post(l.public(), "text/plain", strings.NewReader("order"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || string(body) != "order" {
			t.Errorf("request %d: %s %q %v", i, res.Status, body, err)
		}
	}
	if w := l.window("a", 12); w.Errors != 0 || w.Requests != 12 {
		t.Errorf("%d errors of %d requests were counted", w.Errors, w.Requests)
	}
}

// TestKillerRequestKillsOnce: a request that was sent, and kills its replica,
// goes to no other.
func TestKillerRequestKillsOnce(t *testing.T) {
	l := newLead(t)
	var hit atomic.Int64
	hijack := func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/kill" {
			return
		}
		hit.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
	}
	// Each is gone for good once it was hit.
	var addresses []string
	for range 3 {
		s := httptest.NewUnstartedServer(nil)
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/kill" {
				s.Listener.Close()
			}
			hijack(w, req)
		})
		s.Start()
		t.Cleanup(s.Close)
		addresses = append(addresses, s.Listener.Addr().String())
	}
	l.route(link.Route{Release: "a", Weight: target.Full, Replicas: addresses})
	for range 6 { // so that connections are kept, which is when a transport asks again
		fetch(t, l.public())
	}
	if code, _ := fetch(t, l.public()+"/kill"); code != 502 {
		t.Errorf("answered %d", code)
	}
	if n := hit.Load(); n != 1 {
		t.Errorf("%d replicas were hit", n)
	}
}

func TestWhatCountsAsAnError(t *testing.T) {
	l := newLead(t)
	hanging := make(chan struct{})
	address := replica(t, func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/status":
			w.WriteHeader(http.StatusInternalServerError)
		case "/notfound":
			w.WriteHeader(http.StatusNotFound)
		case "/broken":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/hang":
			hanging <- struct{}{}
			<-req.Context().Done()
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			fmt.Fprint(w, "ok")
		}
	})
	l.route(link.Route{Release: "a", Weight: target.Full, Replicas: []string{address}})
	fetch(t, l.public()+"/")
	fetch(t, l.public()+"/early")
	fetch(t, l.public()+"/notfound")
	fetch(t, l.public()+"/status")
	// The connection may break before or after the header is through.
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // it asks no second time
	if res, err := once.Get(l.public() + "/broken"); err == nil {
		if b, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("half an answer seems whole: %q", b)
		}
		res.Body.Close()
	}
	if w := l.window("a", 5); w.Requests != 5 || w.Errors != 2 {
		t.Errorf("%d errors of %d requests, want 2 of 5", w.Errors, w.Requests)
	}

	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.public()+"/hang", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-hanging
		cancel()
	}()
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
		t.Fatalf("the request that its client gave up: %v", err)
	}
	// It is seen in one place only.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if l.metric("runner_local_requests_abandoned_total") == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the request that its client gave up was not counted as such")
		}
	}
	if w := l.ask("a"); w.Requests != 5 || w.Errors != 2 {
		t.Errorf("a client that went away counts: %d errors of %d requests", w.Errors, w.Requests)
	}
	if n := l.metric("runner_local_requests_in_flight"); n != 0 {
		t.Errorf("%v requests are said to be under way", n)
	}
}

func TestChecksAreNoTraffic(t *testing.T) {
	l := newLead(t)
	l.route(link.Route{Release: "a", Weight: target.Full, Replicas: []string{replica(t, says("a"))}}, link.Route{Release: "b", Replicas: []string{replica(t, says("b"))}})
	for range 5 {
		if _, body := fetch(t, l.url(link.ReleaseSocket("b"))); body != "b" {
			t.Errorf("the candidate's own address answers %q", body)
		}
	}
	fetch(t, l.public())
	if a, b := l.window("a", 1), l.ask("b"); a.Requests != 1 || b.Requests != 0 {
		t.Errorf("a has %d requests, b %d", a.Requests, b.Requests)
	}
}

// TestLeavingRelease: who has left gets nothing new, finishes what it has, and
// is reported idle then and not before.
func TestLeavingRelease(t *testing.T) {
	l := newLead(t)
	gate, inside := make(chan struct{}), make(chan struct{})
	a := link.Route{Release: "a", Weight: target.Full, Replicas: []string{replica(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/wait" {
			inside <- struct{}{}
			<-gate
		}
		fmt.Fprint(w, "a")
	})}}
	b := link.Route{Release: "b", Weight: target.Full, Replicas: []string{replica(t, says("b"))}}
	l.route(a)
	type got struct {
		code int
		body string
	}
	late := make(chan got, 2)
	for _, socket := range []string{link.PublicSocket, link.ReleaseSocket("a")} {
		go func() {
			res, err := http.Get(l.url(socket) + "/wait")
			if err != nil {
				late <- got{0, err.Error()}
				return
			}
			defer res.Body.Close()
			text, _ := io.ReadAll(res.Body)
			late <- got{res.StatusCode, string(text)}
		}()
		<-inside
	}
	own := l.url(link.ReleaseSocket("a"))
	l.sockets[link.ReleaseSocket("a")].Close()
	if idle := l.route(b); len(idle) != 0 {
		t.Errorf("%v is said to be idle", idle)
	}
	if _, body := fetch(t, l.public()); body != "b" {
		t.Errorf("after the switch the public gets %q", body)
	}
	if _, err := http.Get(own); err == nil {
		t.Error("the address of the release that has left is still open")
	}
	select {
	case r := <-l.reports:
		t.Errorf("reported before the last answer: %+v", r)
	default:
	}
	close(gate)
	for range 2 {
		if g := <-late; g != (got{200, "a"}) {
			t.Errorf("a request under way came to %+v", g)
		}
	}
	if r := l.next(); r.Idle != "a" {
		t.Errorf("reported %+v", r)
	}
	// Without anything under way it is idle at once.
	l.route(link.Route{Release: "c", Weight: target.Full})
	if r := l.next(); r.Idle != "b" {
		t.Errorf("reported %+v", r)
	}
}

// TestMetricsGiveNothingAway: the metrics port answers what was counted, to
// this machine, and nothing else.
func TestMetricsGiveNothingAway(t *testing.T) {
	l := newLead(t)
	l.route(link.Route{Release: "a", Weight: target.Full, Replicas: []string{replica(t, says("a"))}})
	base := l.url(link.MetricsSocket)
	now := url.QueryEscape(time.Now().Format(time.RFC3339Nano))
	for path, want := range map[string]int{
		"/": 404, "/v1/stop": 404, "/metrics": 200,
		"/window?release=a&from=" + now + "&to=" + now: 200,
		"/window?release=z&from=" + now + "&to=" + now: 404,
		"/window?release=a&from=x&to=" + now:           400,
		"/window?release=a&from=" + now:                400,
	} {
		if code, body := fetch(t, base+path); code != want {
			t.Errorf("%s: %d %q, want %d", path, code, body, want)
		}
	}
	if _, body := fetch(t, l.public()+"/metrics"); body != "a" {
		t.Errorf("the public port answers /metrics itself: %q", body)
	}
	req, err := http.NewRequest(http.MethodGet, base+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example:80"
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another site gets %s", res.Status)
	}
	res, err = http.Post(base+"/metrics", "", bytes.NewReader(nil))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST gets %s", res.Status)
	}
}

func TestServeEnds(t *testing.T) {
	l := newLead(t)
	if err := l.conn.Send(link.Order{Quit: true}); err != nil {
		t.Fatal(err)
	}
	if err := <-l.ended; err != nil {
		t.Errorf("asked to quit: %v", err)
	}
	l = newLead(t)
	l.conn.Close()
	if err := <-l.ended; !errors.Is(err, io.EOF) {
		t.Errorf("the keeper is gone: %v", err)
	}
}

// TestHandsItsSocketsOver: a keeper that takes another one's place gets them.
func TestHandsItsSocketsOver(t *testing.T) {
	f := New(slog.New(slog.DiscardHandler))
	var names [2][]string
	for i := range names {
		conn, file, err := link.Pair()
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := link.FromFile(file)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() { ended <- f.Serve(theirs) }()
		var r link.Report
		files, err := conn.Receive(&r)
		if err != nil || r.Hello == nil {
			t.Fatal(err)
		}
		names[i] = r.Hello.Sockets
		if i == 1 {
			ln, err := net.FileListener(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if _, body := fetch(t, "http://"+ln.Addr().String()); body != "a" {
				t.Errorf("between keepers the public gets %q", body)
			}
			ln.Close()
		}
		for _, file := range files {
			file.Close()
		}
		if i == 0 {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			file, err := ln.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			order := link.Order{Table: &link.Table{Version: 1, Sockets: []string{link.PublicSocket}, Attached: []string{link.PublicSocket},
				Routes: []link.Route{{Release: "a", Weight: target.Full, Replicas: []string{replica(t, says("a"))}}}}}
			if err := conn.Send(order, file); err != nil {
				t.Fatal(err)
			}
			file.Close()
			ln.Close()
			if _, err := conn.Receive(&r); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close()
		if err := <-ended; !errors.Is(err, io.EOF) {
			t.Errorf("the front ended with %v", err)
		}
	}
	if diff := cmp.Diff([2][]string{nil, {link.PublicSocket}}, names); diff != "" {
		t.Errorf("sockets handed over (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	f.Shutdown(ctx)
}
