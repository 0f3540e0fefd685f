//go:build unix

package link

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	a, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err = FromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestMessagesArriveInOrder(t *testing.T) {
	a, b := pair(t)
	big := strings.Repeat("x", 3<<20)
	sent := []Report{{Applied: 1}, {Idle: big}, {Applied: 2}}
	go func() {
		for _, r := range sent {
			if err := a.Send(r); err != nil {
				t.Error(err)
			}
		}
		a.Close()
	}()
	var got []Report
	for {
		var r Report
		if _, err := b.Receive(&r); err != nil {
			if err != io.EOF {
				t.Fatalf("at the end: %v, want io.EOF", err)
			}
			break
		}
		got = append(got, r)
	}
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("messages (-sent +got):\n%s", diff)
	}
}

// TestSocketsLiveOn: a listening socket that was sent answers after the
// sender closed its own.
func TestSocketsLiveOn(t *testing.T) {
	a, b := pair(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	want := Order{Table: &Table{Version: 7, Sockets: []string{PublicSocket}, Attached: []string{PublicSocket}}}
	if err := a.Send(want, file); err != nil {
		t.Fatal(err)
	}
	if err := a.Send(Order{Quit: true}); err != nil {
		t.Fatal(err)
	}
	file.Close()
	ln.Close()

	var got, next Order
	files, err := b.Receive(&got)
	if err != nil || len(files) != 1 {
		t.Fatalf("Receive: %d files, %v", len(files), err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if files, err := b.Receive(&next); err != nil || len(files) != 0 || !next.Quit {
		t.Errorf("the next order: %+v, %d files, %v", next, len(files), err)
	}
	again, err := net.FileListener(files[0])
	if err != nil {
		t.Fatal(err)
	}
	files[0].Close()
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") })}
	go func() { _ = srv.Serve(again) }()
	defer srv.Close()
	res, err := http.Get("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); string(body) != "here" {
		t.Errorf("got %q", body)
	}
}

func TestTornMessageIsAnEnd(t *testing.T) {
	a, b := pair(t)
	if _, err := a.conn.Write([]byte{0, 0, 1, 0, '{'}); err != nil {
		t.Fatal(err)
	}
	a.Close()
	var r Report
	if _, err := b.Receive(&r); err != io.EOF {
		t.Errorf("half a message: %v, want io.EOF", err)
	}
}

func TestGarbageIsAnError(t *testing.T) {
	a, b := pair(t)
	if _, err := a.conn.Write([]byte{255, 255, 255, 255}); err != nil {
		t.Fatal(err)
	}
	var r Report
	if _, err := b.Receive(&r); err == nil || err == io.EOF {
		t.Errorf("an endless message: %v, want an error", err)
	}
	if _, err := FromFile(must(os.CreateTemp(t.TempDir(), ""))); err == nil {
		t.Error("a plain file passes for a link")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
