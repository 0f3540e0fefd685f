//go:build unix

package front

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/runner-pipelines/runner/plugins/local/internal/link"
	"github.com/runner-pipelines/runner/plugins/local/internal/measure"
	"github.com/runner-pipelines/runner/sdk/target"
)

// lead is the keeper's side of a front under test.
type lead struct {
	t       *testing.T
	conn    *link.Conn
	reports chan link.Report
	version int64
	sockets map[string]net.Listener
	sent    map[string]bool
	ended   chan error
}

func newLead(t *testing.T) *lead {
	t.Helper()
	conn, file, err := link.Pair()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := link.FromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	l := &lead{t: t, conn: conn, reports: make(chan link.Report, 100), sockets: map[string]net.Listener{}, sent: map[string]bool{}, ended: make(chan error, 1)}
	f := New(slog.New(slog.DiscardHandler))
	go func() { l.ended <- f.Serve(theirs) }()
	go func() {
		defer close(l.reports)
		for {
			var r link.Report
			if _, err := conn.Receive(&r); err != nil {
				return
			}
			l.reports <- r
		}
	}()
	if r := l.next(); r.Hello == nil {
		t.Fatalf("the first report is %+v", r)
	}
	t.Cleanup(func() {
		conn.Close()
		for _, s := range l.sockets {
			s.Close()
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		f.Shutdown(ctx)
	})
	return l
}

func (l *lead) next() link.Report {
	l.t.Helper()
	select {
	case r, ok := <-l.reports:
		if !ok {
			l.t.Fatal("the front has ended")
		}
		return r
	case <-time.After(20 * time.Second):
		l.t.Fatal("no report within 20 s")
		panic("unreachable")
	}
}

// route has the front obey the routes, with a socket for the public, the
// metrics and each release. It returns what else was reported meanwhile.
func (l *lead) route(routes ...link.Route) (idle []string) {
	l.t.Helper()
	l.version++
	t := &link.Table{Version: l.version, Service: "test", Routes: routes, Sockets: []string{link.PublicSocket, link.MetricsSocket}}
	for _, r := range routes {
		t.Sockets = append(t.Sockets, link.ReleaseSocket(r.Release))
	}
	var files []*os.File
	for _, name := range t.Sockets {
		if l.sent[name] {
			continue
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			l.t.Fatal(err)
		}
		l.sockets[name], l.sent[name] = ln, true
		file, err := ln.(*net.TCPListener).File()
		if err != nil {
			l.t.Fatal(err)
		}
		defer file.Close()
		files = append(files, file)
		t.Attached = append(t.Attached, name)
	}
	if err := l.conn.Send(link.Order{Table: t}, files...); err != nil {
		l.t.Fatal(err)
	}
	for {
		r := l.next()
		if r.Applied == l.version {
			return idle
		}
		idle = append(idle, r.Idle)
	}
}

func (l *lead) url(socket string) string { return "http://" + l.sockets[socket].Addr().String() }

func (l *lead) public() string { return l.url(link.PublicSocket) }

// window is what was counted so far; it waits until that is n requests.
func (l *lead) window(release string, n int64) measure.Window {
	l.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		w := l.ask(release)
		if w.Requests >= n || time.Now().After(deadline) {
			return w
		}
	}
}

func (l *lead) ask(release string) (w measure.Window) {
	l.t.Helper()
	q := url.Values{"release": {release}, "from": {time.Now().Add(-time.Minute).Format(time.RFC3339Nano)}, "to": {time.Now().Add(time.Second).Format(time.RFC3339Nano)}}
	_, body := fetch(l.t, l.url(link.MetricsSocket)+"/window?"+q.Encode())
	if err := json.Unmarshal([]byte(body), &w); err != nil {
		l.t.Fatalf("%s: %v", body, err)
	}
	return w
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// replica answers requests; its address is how a route names it.
func replica(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// dead is the address of a replica that is not there.
func dead(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

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
	alive := replica(t, func(w http.ResponseWriter, req *http.Request) { io.Copy(w, req.Body) })
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
			io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/hang":
			hanging <- struct{}{}
			<-req.Context().Done()
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			io.WriteString(w, "ok")
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

// metric is the sum of a metric's series.
func (l *lead) metric(name string) (sum float64) {
	l.t.Helper()
	code, text := fetch(l.t, l.url(link.MetricsSocket)+"/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if code != 200 || err != nil {
		l.t.Fatalf("metrics: %d, %v", code, err)
	}
	for _, m := range families[name].GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return sum
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
		io.WriteString(w, "a")
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

func TestConnectionsPassThrough(t *testing.T) {
	l := newLead(t)
	begun := make(chan struct{})
	address := replica(t, func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/stream":
			fmt.Fprint(w, "first\n")
			_ = http.NewResponseController(w).Flush()
			<-begun
			fmt.Fprint(w, "second\n")
		case "/upgrade":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n")
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				fmt.Fprintf(conn, "you say %s\n", lines.Text())
			}
		case "/headers":
			fmt.Fprintf(w, "%s|%s|%s|%s", req.Host, req.Header.Get("X-Forwarded-Host"), req.Header.Get("X-Forwarded-Proto"), req.Header.Get("X-Forwarded-For"))
		}
	})
	l.route(link.Route{Release: "a", Weight: target.Full, Replicas: []string{address}})

	res, err := http.Get(l.public() + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "first\n" {
		t.Errorf("a stream's first line: %q, %v", line, err)
	}
	close(begun)
	if line, err := lines.ReadString('\n'); err != nil || line != "second\n" {
		t.Errorf("its second line: %q, %v", line, err)
	}

	conn, err := net.Dial("tcp", strings.TrimPrefix(l.public(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n")
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
	}
	fmt.Fprint(conn, "hello\n")
	if line, err := in.ReadString('\n'); err != nil || line != "you say hello\n" {
		t.Errorf("over the upgraded connection: %q, %v", line, err)
	}
	conn.Close()
	if w := l.window("a", 2); w.Errors != 0 {
		t.Errorf("%d errors of %d requests", w.Errors, w.Requests)
	}

	req, err := http.NewRequest(http.MethodGet, l.public()+"/headers", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "shop.example"
	req.Header.Set("X-Forwarded-For", "6.6.6.6")
	res, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); string(b) != "shop.example|shop.example|http|127.0.0.1" {
		t.Errorf("the release sees %q", b)
	}
}

func TestHTTP2(t *testing.T) {
	l := newLead(t)
	two := new(http.Protocols)
	two.SetUnencryptedHTTP2(true)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Trailer", "Status")
		io.WriteString(w, req.Proto)
		_ = http.NewResponseController(w).Flush() // no length, as gRPC has none
		w.Header().Set("Status", "fine")
	}))
	s.Config.Protocols = two
	s.Start()
	t.Cleanup(s.Close)
	l.route(link.Route{Release: "a", Weight: target.Full, H2C: true, Replicas: []string{s.Listener.Addr().String()}})
	for name, client := range map[string]*http.Client{
		"HTTP/2":   {Transport: &http.Transport{Protocols: two}},
		"HTTP/1.1": http.DefaultClient,
	} {
		res, err := client.Get(l.public())
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(b) != "HTTP/2.0" || res.Trailer.Get("Status") != "fine" {
			t.Errorf("by %s: the release was asked with %q, trailer %q, %v", name, b, res.Trailer.Get("Status"), err)
		}
		if name == "HTTP/2" && res.ProtoMajor != 2 {
			t.Errorf("a client of HTTP/2 was answered with %s", res.Proto)
		}
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
		<-ended
	}
	if diff := cmp.Diff([2][]string{nil, {link.PublicSocket}}, names); diff != "" {
		t.Errorf("sockets handed over (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	f.Shutdown(ctx)
}
