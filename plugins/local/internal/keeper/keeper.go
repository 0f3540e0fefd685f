//go:build unix

// Package keeper runs one service: it starts the replicas of its releases and
// starts them again when they crash, holds the listening sockets, has a front
// carry the traffic, and does what it is asked over a door of its own.
//
// Run is a keeper's whole life. There is one per service at a time, which a
// file lock sees to; it alone writes the service's state. A keeper that takes
// another one's place adopts what still runs.
package keeper

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/front"
	"github.com/runner-pipelines/runner/plugins/local/internal/link"
	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
)

// ErrHeld means that another process holds the service.
var ErrHeld = errors.New("the service is held by another process")

// lockPatience is how long a keeper waits for one that is just ending.
const lockPatience = 500 * time.Millisecond

// Keeper of one service.
type Keeper struct {
	dir service.Dir
	log *slog.Logger

	mu sync.Mutex
	// changed is closed, and replaced, whenever anything below has changed.
	changed chan struct{}
	state   *service.State
	live    map[string]*running
	sockets map[string]*net.TCPListener
	// version of the table; applied is what a front has said it obeys.
	version, applied int64
	front            *frontEnd
	stopping         bool
}

// Run keeps the service in the folder until it is asked to stop. adopt is the
// link to a front that has lost its keeper; nil when there is none.
func Run(dir service.Dir, adopt *os.File, log *slog.Logger) error {
	signal.Ignore(syscall.SIGHUP)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)

	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	lock, err := dir.Lock(ctx)
	cancel()
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, fs.ErrNotExist) {
		// Without a folder, somebody is just removing the service.
		return ErrHeld
	}
	if err != nil {
		return err
	}
	defer lock.Close()

	k := &Keeper{
		dir: dir, log: log, changed: make(chan struct{}),
		live: map[string]*running{}, sockets: map[string]*net.TCPListener{},
	}
	if k.state, err = loadOrNew(dir); err != nil {
		return err
	}
	first, err := k.takeOver(adopt)
	if err != nil {
		return err
	}
	if err := k.bindAll(); err != nil {
		return err
	}
	k.revive()
	if first == nil {
		// The ports are open already: clients wait for a moment instead of
		// being told that nobody is ready.
		ctx, cancel := context.WithTimeout(context.Background(), readyPatience)
		_ = k.await(ctx, func() bool { return !slices.ContainsFunc(k.state.Releases, notYet) })
		cancel()
	}
	frontGone := make(chan struct{})
	go func() {
		defer close(frontGone)
		k.keepFront(first)
	}()
	stopTrimming := make(chan struct{})
	go k.trimLogs(stopTrimming)
	defer close(stopTrimming)

	door, err := openDoor(k)
	if err != nil {
		k.stop(frontGone)
		return err
	}
	defer door.close()
	remove := false
	select {
	case sig := <-asked:
		log.Info("asked to end", "signal", sig.String())
	case <-door.stop:
		remove = true
	}
	k.stop(frontGone)
	if remove {
		return dir.Remove()
	}
	k.note(func(s *service.State) { s.Keeper, s.Front, s.ControlPort = proc.ID{}, proc.ID{}, 0 })
	return nil
}

func loadOrNew(dir service.Dir) (*service.State, error) {
	state, err := dir.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return &service.State{Format: service.Format, Name: dir.Name(), Since: time.Now().UTC(), Token: rand.Text()}, nil
	}
	return state, err
}

// takeOver brings the front under control that an earlier keeper left: by
// the link when it started us, else by ending it.
func (k *Keeper) takeOver(adopt *os.File) (*frontEnd, error) {
	if adopt == nil {
		if k.state.Front.Alive() {
			k.log.Warn("ending a front that nobody leads", "pid", k.state.Front.PID)
			proc.Stop(k.state.Front, 0)
		}
		return nil, nil
	}
	conn, err := link.FromFile(adopt)
	if err != nil {
		return nil, err
	}
	f, files, err := meet(conn)
	if err != nil {
		return nil, fmt.Errorf("front that is to be adopted: %w", err)
	}
	for name, file := range files {
		ln, err := net.FileListener(file)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("socket %s: %w", name, err)
		}
		k.sockets[name] = ln.(*net.TCPListener)
		f.has[name] = k.sockets[name]
	}
	return f, nil
}

// revive sees to it that what the state names runs again.
func (k *Keeper) revive() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, rel := range k.state.Releases {
		for _, rep := range rel.Replicas {
			rep.Proc = rep.Process()
			rep.Ready = rep.Ready && rep.Proc.Alive()
		}
		if rel.Installed {
			k.run(rel)
			continue
		}
		// Its installation or its end was cut short; who wants it asks again.
		k.unbind(link.ReleaseSocket(rel.ID))
		r := &running{id: rel.ID, spec: rel.Spec, cancel: func() {}, retiring: true}
		k.live[rel.ID] = r
		for _, rep := range rel.Replicas {
			id := rep.Proc
			r.replicas.Go(func() { proc.Stop(id, r.spec.Grace) })
		}
		go k.clear(r, 0)
	}
}

// notYet reports whether a release has traffic but nothing to answer it.
func notYet(rel *service.Release) bool { return rel.Weight > 0 && rel.Ready() == 0 }

// stop ends the front, then the replicas.
func (k *Keeper) stop(frontGone <-chan struct{}) {
	k.mu.Lock()
	k.stopping = true
	if k.front != nil {
		k.front.quit()
	}
	for _, ln := range k.sockets {
		ln.Close()
	}
	k.touch()
	k.mu.Unlock()
	select {
	case <-frontGone:
	case <-time.After(front.QuitGrace + 2*time.Second):
		k.mu.Lock()
		id := k.state.Front
		k.mu.Unlock()
		proc.Stop(id, 0)
	}
	k.mu.Lock()
	all := make([]*running, 0, len(k.live))
	for _, r := range k.live {
		r.cancel()
		all = append(all, r)
	}
	k.mu.Unlock()
	for _, r := range all {
		r.replicas.Wait()
	}
}

// errStopping means that the keeper is about to end and does nothing new.
var errStopping = errors.New("the service is being stopped")

// change makes a new state from the present one and keeps it, unless that or
// the saving fails; then nothing has changed.
func (k *Keeper) change(f func(*service.State) error) error {
	if k.stopping {
		return errStopping
	}
	next := k.state.Clone()
	if err := f(next); err != nil {
		return err
	}
	if err := k.dir.Save(next); err != nil {
		return service.Refuse(service.Internal, "%v", err)
	}
	k.state = next
	k.touch()
	return nil
}

// note records what has happened already; that it cannot be saved changes nothing.
func (k *Keeper) note(f func(*service.State)) {
	f(k.state)
	if err := k.dir.Save(k.state); err != nil {
		k.log.Error("state not saved", "err", err)
	}
	k.touch()
}

// touch wakes whoever waits, and has the front told.
func (k *Keeper) touch() {
	k.version++
	if k.front != nil {
		k.front.wake()
	}
	k.wakeAll()
}

func (k *Keeper) wakeAll() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// await blocks until done, which is asked under the lock after every change,
// says so. It returns the context's error when that ends first.
func (k *Keeper) await(ctx context.Context, done func() bool) error {
	for {
		k.mu.Lock()
		ok, changed := done(), k.changed
		k.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// obeyed blocks until a front deals requests out by this version of the table.
func (k *Keeper) obeyed(version int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if k.await(ctx, func() bool { return k.applied >= version }) != nil {
		return service.Refuse(service.Internal, "the front of service %s does not take over what was changed", k.state.Name)
	}
	return nil
}
