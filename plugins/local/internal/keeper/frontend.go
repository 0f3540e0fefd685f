//go:build unix

package keeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/link"
	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
)

// FrontCommand are the arguments, before the folder, that make this program a
// front with its link on descriptor 3.
var FrontCommand = []string{"front", "-state"}

// frontEnd is the keeper's side of one front.
type frontEnd struct {
	conn *link.Conn
	id   proc.ID
	// has are the sockets that it holds, as the keeper's own listeners.
	has map[string]*net.TCPListener
	// dirty is sent to when the table has changed.
	dirty    chan struct{}
	quitting bool
	// idle are the releases that answered their last request.
	idle map[string]bool
}

// wake never blocks.
func (f *frontEnd) wake() {
	select {
	case f.dirty <- struct{}{}:
	default:
	}
}

func (f *frontEnd) quit() {
	f.quitting = true
	f.wake()
}

// meet waits for a front to introduce itself.
func meet(conn *link.Conn) (*frontEnd, map[string]*os.File, error) {
	var report link.Report
	files, err := conn.Receive(&report)
	if err == nil && (report.Hello == nil || len(report.Hello.Sockets) != len(files)) {
		err = errors.New("it did not say who it is")
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	byName := map[string]*os.File{}
	for i, name := range report.Hello.Sockets {
		byName[name] = files[i]
	}
	return &frontEnd{
		conn: conn, id: report.Hello.Proc, dirty: make(chan struct{}, 1),
		has: map[string]*net.TCPListener{}, idle: map[string]bool{},
	}, byName, nil
}

// keepFront has a front at all times, beginning with the one given, until the
// keeper stops.
func (k *Keeper) keepFront(f *frontEnd) {
	for pause := time.Duration(0); ; {
		began := time.Now()
		if f == nil {
			var err error
			if f, err = k.startFront(); err != nil {
				k.log.Error("front not started", "err", err)
			}
		}
		if f != nil {
			k.lead(f)
			f = nil
		}
		if time.Since(began) > 5*time.Second {
			pause = 0
		}
		ctx, cancel := context.WithTimeout(context.Background(), pause)
		err := k.await(ctx, func() bool { return k.stopping })
		cancel()
		if err == nil {
			return
		}
		k.log.Warn("front has ended, starting another")
		pause = min(max(2*pause, 20*time.Millisecond), 2*time.Second)
	}
}

func (k *Keeper) startFront() (*frontEnd, error) {
	conn, theirs, err := link.Pair()
	if err != nil {
		return nil, err
	}
	cmd := proc.Self(append(FrontCommand, string(k.dir))...)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	err = proc.StartDetached(cmd)
	theirs.Close()
	if err != nil {
		conn.Close()
		return nil, err
	}
	go func() { _ = cmd.Wait() }()
	f, _, err := meet(conn)
	return f, err
}

// lead tells the front what to do and hears what it reports until it is gone.
func (k *Keeper) lead(f *frontEnd) {
	k.mu.Lock()
	k.front = f
	k.note(func(s *service.State) { s.Front = f.id })
	if k.stopping {
		f.quitting = true
	}
	k.mu.Unlock()
	f.wake()

	over := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		k.tell(f, over)
	}()
	for {
		var report link.Report
		if _, err := f.conn.Receive(&report); err != nil {
			break
		}
		k.mu.Lock()
		if report.Idle != "" {
			f.idle[report.Idle] = true
		}
		k.applied = max(k.applied, report.Applied)
		k.wakeAll()
		k.mu.Unlock()
	}
	close(over)
	f.conn.Close()
	<-told
	k.mu.Lock()
	k.front = nil
	k.wakeAll()
	k.mu.Unlock()
}

// tell sends the table whenever it has changed.
func (k *Keeper) tell(f *frontEnd, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		case <-f.dirty:
		}
		k.mu.Lock()
		quit := f.quitting
		t, files, err := k.table(f)
		k.mu.Unlock()
		if err == nil && !quit {
			err = f.conn.Send(link.Order{Table: t}, files...)
		}
		for _, file := range files {
			file.Close()
		}
		if quit {
			_ = f.conn.Send(link.Order{Quit: true})
			return
		}
		if err != nil {
			k.log.Error("front not told", "err", err)
			f.conn.Close()
			return
		}
	}
}

// table is what the front must know, with the sockets it does not have yet.
func (k *Keeper) table(f *frontEnd) (*link.Table, []*os.File, error) {
	t := &link.Table{Version: k.version, Service: k.state.Name}
	for _, rel := range k.state.Releases {
		if !rel.Installed {
			continue
		}
		route := link.Route{Release: rel.ID, Version: rel.Version, Weight: rel.Weight, H2C: rel.Spec.H2C}
		for _, rep := range rel.Replicas {
			if rep.Ready {
				route.Replicas = append(route.Replicas, net.JoinHostPort("127.0.0.1", strconv.Itoa(rep.Port)))
			}
		}
		t.Routes = append(t.Routes, route)
	}
	t.Sockets = slices.Sorted(maps.Keys(k.sockets))
	var files []*os.File
	for _, name := range t.Sockets {
		if f.has[name] == k.sockets[name] {
			continue
		}
		file, err := k.sockets[name].File()
		if err != nil {
			return t, files, fmt.Errorf("socket %s: %w", name, err)
		}
		files = append(files, file)
		t.Attached = append(t.Attached, name)
	}
	f.has = maps.Clone(k.sockets)
	return t, files, nil
}
