//go:build unix

// Package front carries the traffic of one service: it listens on the public
// port, deals requests out to the releases by weight, answers for each release at
// an address of its own, and counts.
//
// A front knows only the table that its keeper sends over the link. When the
// keeper dies, the front starts another one and goes on meanwhile.
package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/link"
	"github.com/runner-pipelines/runner/plugins/local/internal/measure"
	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
)

// QuitGrace is how long a front that is asked to quit finishes its answers.
const QuitGrace = 10 * time.Second

// Front is one process's data plane.
type Front struct {
	log  *slog.Logger
	deal sequence
	// now is what requests are dealt out by.
	now atomic.Pointer[table]

	mu       sync.Mutex // of what follows; only orders take it
	releases map[string]*release
	sockets  map[string]*socket
}

// table is never changed once it is stored.
type table struct {
	service string
	shares  []share
	total   uint64
}

type share struct {
	*release
	weight uint64
}

// socket is a listener with its server.
type socket struct {
	listener *net.TCPListener
	server   *http.Server
}

// New makes a front that listens nowhere yet.
func New(log *slog.Logger) *Front {
	f := &Front{log: log, releases: map[string]*release{}, sockets: map[string]*socket{}}
	f.now.Store(&table{})
	return f
}

// Serve obeys the keeper at the other end until it asks to quit, which returns
// nil, or is gone, which returns io.EOF. It may be called again with another
// keeper.
func (f *Front) Serve(keeper *link.Conn) error {
	if err := f.hello(keeper); err != nil {
		return err
	}
	for {
		var order link.Order
		files, err := keeper.Receive(&order)
		if err != nil {
			return err
		}
		switch {
		case order.Quit:
			return nil
		case order.Table != nil:
			if err := f.apply(order.Table, files, keeper); err != nil {
				return err
			}
		}
	}
}

// hello says who we are and hands over the sockets, which a keeper that
// takes another one's place does not have.
func (f *Front) hello(keeper *link.Conn) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	hello := link.Hello{Proc: proc.Me()}
	var files []*os.File
	defer func() {
		for _, file := range files {
			file.Close()
		}
	}()
	for name, s := range f.sockets {
		file, err := s.listener.File()
		if err != nil {
			return fmt.Errorf("socket %s: %w", name, err)
		}
		hello.Sockets = append(hello.Sockets, name)
		files = append(files, file)
	}
	// Should this fail, the keeper is gone, which Receive will tell.
	_ = keeper.Send(link.Report{Hello: &hello}, files...)
	return nil
}

// apply makes the table the one that holds.
func (f *Front) apply(t *link.Table, files []*os.File, keeper *link.Conn) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.open(t, files); err != nil {
		return err
	}
	next := &table{service: t.Service}
	kept := map[string]*release{}
	for _, route := range t.Routes {
		r, known := f.releases[route.Release]
		if known {
			r.update(route)
		} else {
			r = newRelease(route, f.log)
		}
		kept[r.id] = r
		next.shares = append(next.shares, share{r, uint64(max(route.Weight, 0))})
		next.total += uint64(max(route.Weight, 0))
	}
	gone := f.releases
	f.releases = kept
	f.now.Store(next)
	f.serveSockets()
	f.closeSockets(t.Sockets)
	for id, r := range gone {
		if kept[id] != r {
			r.close()
			go func() {
				<-r.idle
				r.transport.CloseIdleConnections()
				// A keeper that is gone has nobody waiting.
				_ = keeper.Send(link.Report{Idle: r.id})
			}()
		}
	}
	_ = keeper.Send(link.Report{Applied: t.Version})
	return nil
}

// open takes the sockets that came along.
func (f *Front) open(t *link.Table, files []*os.File) error {
	for i, file := range files {
		if i >= len(t.Attached) {
			file.Close()
			continue
		}
		ln, err := net.FileListener(file)
		file.Close()
		if err != nil {
			return fmt.Errorf("socket %s: %w", t.Attached[i], err)
		}
		tcp, ok := ln.(*net.TCPListener)
		if !ok {
			ln.Close()
			return fmt.Errorf("socket %s is not for TCP", t.Attached[i])
		}
		if old := f.sockets[t.Attached[i]]; old != nil {
			old.shut()
		}
		f.sockets[t.Attached[i]] = &socket{listener: tcp}
	}
	return nil
}

// serveSockets begins to answer where nobody does yet.
func (f *Front) serveSockets() {
	for name, s := range f.sockets {
		if s.server != nil {
			continue
		}
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		protocols.SetUnencryptedHTTP2(true)
		s.server = &http.Server{
			Handler:           f.handler(name),
			Protocols:         protocols,
			ReadHeaderTimeout: 30 * time.Second,
			ErrorLog:          slog.NewLogLogger(f.log.Handler(), slog.LevelDebug),
		}
		go func() {
			if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				f.log.Error("socket failed", "name", name, "err", err)
			}
		}()
	}
}

func (f *Front) handler(socket string) http.Handler {
	switch socket {
	case link.PublicSocket:
		return http.HandlerFunc(f.public)
	case link.MetricsSocket:
		return f.metrics()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		for _, s := range f.now.Load().shares {
			if link.ReleaseSocket(s.id) == socket && s.enter() {
				// Checks are no traffic: they must not be evidence for or against.
				s.serve(w, req, false)
				return
			}
		}
		http.Error(w, "This release is not installed.", http.StatusServiceUnavailable)
	})
}

// closeSockets closes those that are not wanted any more.
func (f *Front) closeSockets(wanted []string) {
	keep := map[string]bool{}
	for _, name := range wanted {
		keep[name] = true
	}
	for name, s := range f.sockets {
		if !keep[name] {
			s.shut()
			delete(f.sockets, name)
		}
	}
}

// shut closes the port at once and lets answers under way finish.
func (s *socket) shut() {
	if s.server == nil {
		s.listener.Close()
		return
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.server.Shutdown(now)
}

// public deals one request out.
func (f *Front) public(w http.ResponseWriter, req *http.Request) {
	for {
		now := f.now.Load()
		if now.total == 0 {
			http.Error(w, "No release of this service has traffic.", http.StatusServiceUnavailable)
			return
		}
		place := f.deal.next(now.total)
		for _, s := range now.shares {
			if place >= s.weight {
				place -= s.weight
				continue
			}
			if s.enter() {
				s.serve(w, req, true)
				return
			}
			break // the table has changed meanwhile: deal again
		}
	}
}

// named is what the metrics are about.
func (f *Front) named() (service string, all []measure.Named) {
	now := f.now.Load()
	for _, s := range now.shares {
		n := measure.Named{Release: s.counts, ID: s.id, Version: s.version}
		if now.total > 0 {
			n.Share = float64(s.weight) / float64(now.total)
		}
		all = append(all, n)
	}
	return now.service, all
}

// Shutdown stops listening and waits until every answer is given, or ctx ends.
func (f *Front) Shutdown(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var wait sync.WaitGroup
	for _, s := range f.sockets {
		if s.server != nil {
			wait.Go(func() {
				if s.server.Shutdown(ctx) != nil {
					s.server.Close()
				}
			})
		}
	}
	wait.Wait()
	f.sockets = map[string]*socket{}
}
