//go:build unix

package front

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/plugins/local/internal/link"
	"github.com/runner-pipelines/runner/sdk/target"
)

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
		fmt.Fprint(w, req.Proto)
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
