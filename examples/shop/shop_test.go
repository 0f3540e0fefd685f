package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func ask(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func TestAnswers(t *testing.T) {
	h := New(Config{Version: "v<2>"})
	tests := []struct {
		method, path, body string
		status             int
		contains           string
	}{
		{"GET", "/", "", 200, "version <strong>v&lt;2&gt;</strong>"},
		{"GET", "/", "", 200, "<td>Stoneware mug</td><td>12.50</td>"},
		{"GET", "/healthz", "", 200, "ok"},
		{"GET", "/api/products", "", 200, `"version":"v\u003c2\u003e"`},
		{"POST", "/api/order", `{"product":"mug","quantity":3}`, 201, `{"id":1,"product":"mug","quantity":3,"cents":3750}`},
		{"POST", "/api/order", `{"product":"mug","quantity":1}`, 201, `"id":2`},
		{"POST", "/api/order", `{"product":"car","quantity":1}`, 400, "no such product"},
		{"POST", "/api/order", `{"product":"mug","quantity":0}`, 400, "from 1 to 100"},
		{"POST", "/api/order", `{"product":`, 400, "unexpected EOF"},
		{"POST", "/api/order", `"` + strings.Repeat("x", 100_000), 400, "too large"},
		{"GET", "/api/order", "", 405, ""},
		{"GET", "/nothing", "", 404, ""},
	}
	for _, tt := range tests {
		w := ask(h, tt.method, tt.path, tt.body)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.contains) {
			t.Errorf("%s %s: %d %s, want %d with %q", tt.method, tt.path, w.Code, w.Body, tt.status, tt.contains)
		}
		if got := w.Header().Get(VersionHeader); got != "v<2>" {
			t.Errorf("%s %s: version %q", tt.method, tt.path, got)
		}
	}
}

// TestFailures looks at which requests fail: as many as asked for, spread
// evenly, the same ones every time, health checks never.
func TestFailures(t *testing.T) {
	for rate, want := range map[float64][]int{
		0:    nil,
		0.2:  {5, 10, 15, 20},
		0.3:  {4, 7, 10, 14, 17, 20},
		1:    {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
		0.05: {20},
	} {
		h := New(Config{Version: "v3", FailRate: rate})
		var got []int
		for n := 1; n <= 20; n++ {
			if w := ask(h, "GET", "/healthz", ""); w.Code != 200 {
				t.Errorf("rate %v: a health check failed", rate)
			}
			switch w := ask(h, "GET", "/api/products", ""); w.Code {
			case 500:
				got = append(got, n)
				var body map[string]string
				if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body["error"] == "" {
					t.Errorf("a failure says %s", w.Body)
				}
			case 200:
			default:
				t.Errorf("rate %v: request %d is answered %d", rate, n, w.Code)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("rate %v: requests %v failed, want %v", rate, got, want)
		}
	}
}

func TestFailuresUnderLoad(t *testing.T) {
	h := New(Config{FailRate: 0.2})
	var mu sync.Mutex
	failed := 0
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			for range 100 {
				if ask(h, "GET", "/", "").Code == 500 {
					mu.Lock()
					failed++
					mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	if failed != 200 {
		t.Errorf("%d of 1000 requests failed, want 200", failed)
	}
}

func TestLatency(t *testing.T) {
	h := New(Config{Latency: 30 * time.Millisecond})
	began := time.Now()
	if w := ask(h, "GET", "/", ""); w.Code != 200 || time.Since(began) < 30*time.Millisecond {
		t.Errorf("answered %d after %v", w.Code, time.Since(began))
	}
	h = New(Config{Latency: time.Hour})
	if w := ask(h, "GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("health check: %d", w.Code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx)) // returns
}

func TestConfig(t *testing.T) {
	for _, cfg := range []Config{{FailRate: -0.1}, {FailRate: 1.1}, {FailRate: math.NaN()}, {Latency: -1}} {
		if cfg.check() == nil {
			t.Errorf("%+v passes", cfg)
		}
	}
	for _, args := range [][]string{{"-fail-rate", "2"}, {"-unknown"}, {"extra"}, {"-latency", "x"}} {
		var errs bytes.Buffer
		if code := run(t.Context(), args, func(string) string { return "" }, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%q: exit code %d, %q", args, code, errs.String())
		}
	}
	for _, port := range []string{"", "x", "70000", "-1"} {
		var errs bytes.Buffer
		if code := run(t.Context(), nil, func(string) string { return port }, &errs); code != 2 || !strings.Contains(errs.String(), "PORT") {
			t.Errorf("port %q: exit code %d, %q", port, code, errs.String())
		}
	}
	if code := run(t.Context(), []string{"-h"}, func(string) string { return "" }, io.Discard); code != 0 {
		t.Errorf("help: exit code %d", code)
	}
}

// TestRun asks a running shop, and ends it while it is answering.
func TestRun(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := taken.Addr().(*net.TCPAddr).Port
	env := func(name string) string { return map[string]string{"PORT": strconv.Itoa(port)}[name] }
	if code := run(t.Context(), nil, env, io.Discard); code != 1 {
		t.Errorf("at a port that is taken: exit code %d", code)
	}
	taken.Close()

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() { ended <- run(ctx, []string{"-version", "v7"}, env, io.Discard) }()
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if res, err := http.Get(url + "/healthz"); err == nil {
			res.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the shop does not open")
		}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	order := `{"product":"mug","quantity":1}`
	fmt.Fprintf(conn, "POST /api/order HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(order))
	in := bufio.NewReader(conn)
	// The server asks for the body when the order is being read.
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err)
	}
	cancel()
	fmt.Fprint(conn, order)
	b, err := io.ReadAll(in)
	if err != nil || !strings.Contains(string(b), "201 Created") || !strings.Contains(string(b), VersionHeader+": v7") {
		t.Errorf("the order under way came to %q, %v", b, err)
	}
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
}
