//go:build unix

package front

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/runner-pipelines/runner/plugins/local/internal/link"
	"github.com/runner-pipelines/runner/plugins/local/internal/measure"
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
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
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
