package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/target"
)

// These are faults that a real Prometheus does not commit when it is asked to;
// what it does itself is asked of a real one.

// metricAt is a metric of a server, as a plugin block would make it.
func metricAt(t testing.TB, address string, change func(*Config)) *Metric {
	t.Helper()
	all := &servers{}
	c := newConfig(all)
	c.Address = address
	if change != nil {
		change(c)
	}
	if err := errors.Join(c.Validate(), c.Configure()); err != nil {
		t.Fatal(err)
	}
	m := newMetric(all)
	m.Total, m.Events = `requests_total{release="$release"}`, `requests_total{release="$release",code=~"5.."}`
	return m
}

func request(ctx context.Context) call.Request {
	return call.Request{Call: call.Call{Key: "k", Target: "main"}, Log: slog.New(slog.DiscardHandler)}
}

func measureOne(t testing.TB, m *Metric) (metrics.Measurement, error) {
	t.Helper()
	return m.Measure(t.Context(), &metrics.Request{Request: request(t.Context()), Releases: []target.Release{{ID: "v1"}}, From: time.Now().Add(-time.Minute), To: time.Now()})
}

func TestFaults(t *testing.T) {
	status := func(code int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	for _, tt := range []struct {
		name    string
		serve   http.HandlerFunc
		summary string
		at      string
		retry   diag.Retry
		after   time.Duration
		says    string
	}{
		{name: "500", serve: status(500, "out of\nmemory"), summary: "Prometheus refuses", retry: diag.Safe, says: "500 Internal Server Error: out of memory"},
		{name: "a page of HTML is not repeated", serve: status(502, "<html>", "Content-Type", "text/html"), summary: "Prometheus refuses", retry: diag.Safe, says: "502 Bad Gateway."},
		{name: "503 as Prometheus says it", serve: status(503, `{"status":"error","errorType":"timeout","error":"query timed out"}`), summary: "Prometheus refuses", retry: diag.Safe, says: "query timed out"},
		{name: "busy", serve: status(429, "", "Retry-After", "7"), summary: "Prometheus refuses", retry: diag.Later, after: 7 * time.Second, says: "429"},
		{name: "busy without saying how long", serve: status(429, ""), summary: "Prometheus refuses", retry: diag.Safe, says: "429"},
		{name: "unknown user", serve: status(401, ""), summary: "Access denied", says: "Check bearer_token"},
		{name: "forbidden", serve: status(403, "no tenant"), summary: "Access denied", says: "no tenant"},
		{name: "another program", serve: status(404, ""), summary: "Wrong address", says: "without /api/v1"},
		{name: "a login page", serve: status(200, "<html>hello</html>"), summary: "Unreadable answer", says: "a login in front"},
		{name: "half of an answer", serve: status(200, `{"status":"success","data":{"resultType":"vector"`), summary: "Unreadable answer", says: "a login in front"},
		{name: "a result of a type that nobody knows", serve: status(200, `{"status":"success","data":{"resultType":"cube","result":[]}}`), summary: "Unreadable answer", says: "cube"},
		{name: "success in words, failure in numbers", serve: status(422, `{"status":"success"}`), summary: "Unreadable answer", says: "inconsistent"},
		{name: "a refusal in other words", serve: status(400, "no such tenant"), summary: "Prometheus refuses", says: `client error: 400: "no such tenant"`},
		{name: "a redirection", serve: status(302, "", "Location", "http://elsewhere.example/login?x=1"), summary: "Wrong address", says: "elsewhere.example"},
		{
			name: "the query is at fault", serve: status(400, `{"status":"error","errorType":"bad_data","error":"1:2: parse error: unexpected"}`),
			summary: "Query rejected", at: "total", says: "1:2: parse error",
		},
		{name: "too many samples", serve: status(422, `{"status":"error","errorType":"execution","error":"too many samples"}`), summary: "Query rejected", at: "total", says: "too many samples"},
		{
			name: "an answer without end", summary: "Answer too large", says: "64 MiB",
			serve: func(w http.ResponseWriter, r *http.Request) {
				line := []byte(strings.Repeat(" ", 1<<20))
				for r.Context().Err() == nil {
					if _, err := w.Write(line); err != nil {
						return
					}
				}
			},
		},
		{
			name: "no answer", summary: "Prometheus is slow", retry: diag.Safe, says: "within 100ms",
			serve: func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // else nobody notices that the client went away
				<-r.Context().Done()
			},
		},
		{
			name: "the line goes dead", summary: "Prometheus not reachable", retry: diag.Safe, says: "EOF",
			serve: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(tt.serve)
			defer s.Close()
			_, err := measureOne(t, metricAt(t, s.URL, func(c *Config) {
				if tt.name == "no answer" {
					c.Timeout = 100 * time.Millisecond
				}
			}))
			p := diag.Of(err)
			if p == nil || len(p.Diagnostics) != 1 {
				t.Fatalf("it says %v", err)
			}
			d := p.Diagnostics[0]
			if d.Summary != tt.summary || d.Path.String() != tt.at || p.Retry != tt.retry || p.After != tt.after || p.Effect != diag.None || !strings.Contains(d.Detail, tt.says) {
				t.Errorf("it says %q at %q: %s\nretry %v after %s, effect %v", d.Summary, d.Path, d.Detail, p.Retry, p.After, p.Effect)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	_, err := measureOne(t, metricAt(t, "http://127.0.0.1:1", nil))
	p := diag.Of(err)
	if p == nil || p.Retry != diag.Safe || !strings.Contains(p.Error(), "Prometheus not reachable: http://127.0.0.1:1 does not answer: dial tcp 127.0.0.1:1: connect: connection refused") {
		t.Errorf("it says %v", err)
	}
	m := metricAt(t, "", nil)
	if _, err := measureOne(t, m); diag.Of(err) == nil || diag.Of(err).Diagnostics[0].Path.String() != "address" {
		t.Errorf("without an address it says %v", err)
	}
}

func TestCancelled(t *testing.T) {
	asked := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(asked)
		<-r.Context().Done()
	}))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	m := metricAt(t, s.URL, nil)
	_, err := m.Measure(ctx, &metrics.Request{Request: request(ctx), Releases: []target.Release{{ID: "v1"}}, From: time.Now().Add(-time.Minute), To: time.Now()})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it says %v", err)
	}
}

// What is sent: credentials and headers with each request, also when the server
// takes no POST.
func TestLogin(t *testing.T) {
	const empty = `{"status":"success","data":{"resultType":"%s","result":[]}}`
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"nobody":     {func(*Config) {}, ""},
		"token":      {func(c *Config) { c.BearerToken = "t0ken" }, "Bearer t0ken"},
		"basic auth": {func(c *Config) { c.BasicAuth = &BasicAuth{"me", "secret"} }, "Basic bWU6c2VjcmV0"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = append(got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")+" "+r.Header.Get("X-Scope-OrgID"))
				if r.Method == http.MethodPost {
					w.WriteHeader(http.StatusMethodNotAllowed)
					return
				}
				kind := "vector"
				if strings.Contains(r.FormValue("query"), "ms]") {
					kind = "matrix"
				}
				fmt.Fprintf(w, empty, kind)
			}))
			defer s.Close()
			m := metricAt(t, s.URL+"/tenants/a/", func(c *Config) {
				c.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
				c.Headers = map[string]string{"X-Scope-OrgID": "shop"}
				tt.change(c)
			})
			out, err := measureOne(t, m)
			if err != nil {
				t.Fatal(err)
			}
			if want := `no series matches requests_total{release="v1"} in this window`; out.Releases[0].NoData != want {
				t.Errorf("the reason is %q, want %q", out.Releases[0].NoData, want)
			}
			var want []string
			for range 6 { // what lives now, what was scraped, what lived at the end of the window
				for _, method := range []string{"POST", "GET"} {
					want = append(want, method+" /tenants/a/api/v1/query "+tt.want+" shop")
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("requests (-want +got):\n%s", d)
			}
			// Without the certificate nothing is sent.
			got = nil
			m = metricAt(t, s.URL, tt.change)
			if _, err := measureOne(t, m); err == nil || diag.Of(err).Retry != diag.Never || !strings.Contains(err.Error(), "Server not trusted") || len(got) > 0 {
				t.Errorf("a server that nobody trusts: %v, %q", err, got)
			}
		})
	}
}
