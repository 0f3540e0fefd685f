//go:build unix

package keeper

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/control"
	"github.com/runner-pipelines/runner/plugins/local/internal/link"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
	"github.com/runner-pipelines/runner/sdk/target"
)

// readyPatience is how long a replica that is just starting again is waited for
// before its release is refused more traffic.
const readyPatience = 5 * time.Second

// install sees to it that the release is installed and ready. When the caller
// goes away the installation goes on; whoever asks next joins it.
func (k *Keeper) install(ctx context.Context, req control.InstallRequest, progress func(percent int, message string)) (target.Release, error) {
	r, err := k.begin(ctx, req)
	if err != nil {
		return target.Release{}, err
	}
	limit, cancel := context.WithTimeout(ctx, r.spec.Health.Deadline+r.spec.Grace+5*time.Second)
	defer cancel()
	told := -1
	for {
		k.mu.Lock()
		rel := k.state.Release(r.id)
		ready, all, installed := 0, r.spec.Replicas, rel != nil && rel.Installed
		if rel != nil {
			ready = rel.Ready()
		}
		gone, changed, version := k.live[r.id] != r, k.changed, k.version
		why := r.err
		k.mu.Unlock()
		switch {
		case installed && ready == all:
			if err := k.obeyed(version); err != nil {
				return target.Release{}, err
			}
			return k.described(r.id)
		case gone && why != nil:
			return target.Release{}, service.Refuse(service.StartFailed, "%v", why)
		case gone:
			return target.Release{}, service.Refuse(service.NoRelease, "the release %q was retired while it was being installed", r.id)
		}
		if ready != told {
			told = ready
			progress(100*ready/all, fmt.Sprintf("%d of %d replicas ready", ready, all))
		}
		select {
		case <-changed:
		case <-limit.Done():
			if ctx.Err() != nil {
				return target.Release{}, context.Cause(ctx)
			}
			return target.Release{}, service.Refuse(service.NotReady, "only %d of %d replicas of the release %q are ready", ready, all, r.id)
		}
	}
}

func (k *Keeper) described(id string) (target.Release, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	rel := k.state.Release(id)
	if rel == nil {
		return target.Release{}, service.Refuse(service.NoRelease, "the release %q was retired", id)
	}
	return k.state.Describe(rel), nil
}

// begin starts the release, or finds it started.
func (k *Keeper) begin(ctx context.Context, req control.InstallRequest) (*running, error) {
	// One that is on its way out must be gone before it can come again.
	id := req.Release.ID
	if err := k.await(ctx, func() bool { r := k.live[id]; return r == nil || !r.retiring }); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.state
	if k.stopping {
		return nil, errStopping
	}
	if len(s.Releases) > 0 && (s.Pipeline != req.Pipeline || s.Environment != req.Environment) {
		return nil, service.Refuse(service.OtherOwner, "the service %s belongs to %s, not to %s",
			s.Name, owner(s.Pipeline, s.Environment), owner(req.Pipeline, req.Environment))
	}
	if err := k.move(req.Host, req.Port); err != nil {
		return nil, err
	}
	if r := k.live[id]; r != nil {
		return r, nil
	}
	rel := &service.Release{
		ID: id, Version: req.Release.Version, Artifact: req.Release.Artifact,
		Created: time.Now().UTC(), Spec: req.Spec,
	}
	if err := k.bind(link.ReleaseSocket(id), loopback, &rel.Port); err != nil {
		return nil, service.Refuse(service.Internal, "no address for the release: %v", err)
	}
	err := k.change(func(s *service.State) error {
		s.Pipeline, s.Environment = req.Pipeline, req.Environment
		s.Releases = append(s.Releases, rel)
		for range req.Spec.Replicas {
			port, err := freePort(s)
			if err != nil {
				return service.Refuse(service.Internal, "no port for a replica: %v", err)
			}
			rel.Replicas = append(rel.Replicas, &service.Replica{Port: port})
		}
		return nil
	})
	if err != nil {
		k.unbind(link.ReleaseSocket(id))
		return nil, err
	}
	k.pruneLogs()
	return k.run(rel), nil
}

func owner(pipeline, environment string) string {
	if environment == "" {
		return fmt.Sprintf("pipeline %q", pipeline)
	}
	return fmt.Sprintf("pipeline %q, environment %q", pipeline, environment)
}

// move makes the service take traffic in where it is asked to. Port 0 means
// that any will do.
func (k *Keeper) move(host string, port int) error {
	s := k.state
	if s.Port != 0 && s.Host == host && (port == 0 || port == s.Port) {
		return nil
	}
	if port == 0 {
		port = s.Port
	}
	old, had := k.sockets[link.PublicSocket]
	if had && host != s.Host {
		// The new address may include the old one, which the front still has.
		return service.Refuse(service.HostFixed, "the service %s listens on %s and can listen on %s only after it was stopped", s.Name, s.Host, host)
	}
	delete(k.sockets, link.PublicSocket)
	if err := k.bind(link.PublicSocket, host, &port); err != nil {
		if had {
			k.sockets[link.PublicSocket] = old
		}
		code := service.Internal
		if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EADDRNOTAVAIL) {
			code = service.PortTaken
		}
		return service.Refuse(code, "cannot listen on %s port %d: %v", host, port, err)
	}
	if had {
		old.Close()
	}
	return k.change(func(s *service.State) error {
		s.Host, s.Port = host, port
		return nil
	})
}

func (k *Keeper) unbind(name string) {
	if ln := k.sockets[name]; ln != nil {
		ln.Close()
		delete(k.sockets, name)
	}
}

// setWeight returns when every request from now on is dealt out by it.
func (k *Keeper) setWeight(ctx context.Context, req control.WeightRequest) error {
	if err := k.canCarry(ctx, req); err != nil {
		return err
	}
	k.mu.Lock()
	err := k.change(func(s *service.State) error { return s.SetWeight(req.Release, req.Weight, req.Expect) })
	version := k.version
	k.mu.Unlock()
	if err != nil {
		return err
	}
	return k.obeyed(version)
}

// canCarry refuses more traffic for a release of which nothing answers.
func (k *Keeper) canCarry(ctx context.Context, req control.WeightRequest) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	err := k.await(ctx, func() bool {
		rel := k.state.Release(req.Release)
		return rel == nil || !rel.Installed || req.Weight <= rel.Weight || rel.Ready() > 0
	})
	if err != nil {
		return service.Refuse(service.NotReady, "no replica of the release %q is ready, so it cannot take traffic", req.Release)
	}
	return nil
}

func (k *Keeper) settle(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.change(func(s *service.State) error { return s.Settle(id) })
}

// retire returns when the release and its processes are gone.
func (k *Keeper) retire(ctx context.Context, id string, progress func(percent int, message string)) error {
	k.mu.Lock()
	r := k.live[id]
	if r != nil && !r.retiring {
		if err := k.change(func(s *service.State) error { return s.Retire(id) }); err != nil {
			k.mu.Unlock()
			return err
		}
		r.retiring = true
		go k.clear(r, k.version)
	}
	k.mu.Unlock()
	if r == nil {
		return nil
	}
	progress(-1, "waiting for requests under way")
	return k.await(ctx, func() bool { return k.live[id] != r })
}

// clear drains a release that has left the table of that version, ends its
// processes and forgets it. Version 0 means that it never was in a table.
func (k *Keeper) clear(r *running, version int64) {
	if version > 0 {
		k.drain(r, version)
	}
	r.cancel()
	r.replicas.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unbind(link.ReleaseSocket(r.id))
	delete(k.live, r.id)
	k.note(func(s *service.State) { s.Drop(r.id) })
}

// drain waits until the front has answered the last request of the release,
// within the release's patience. A front that dies takes its requests along.
func (k *Keeper) drain(r *running, version int64) {
	if k.obeyed(version) != nil {
		k.log.Warn("no front to drain", "release", r.id)
		return
	}
	k.mu.Lock()
	f := k.front
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), r.spec.Drain)
	defer cancel()
	if k.await(ctx, func() bool { return f == nil || k.front != f || f.idle[r.id] || k.stopping }) != nil {
		k.log.Warn("requests are cut off", "release", r.id, "after", r.spec.Drain)
	}
	k.mu.Lock()
	if f != nil {
		delete(f.idle, r.id)
	}
	k.mu.Unlock()
}

// forsaken reports whether the service has nothing and never had. It takes
// nothing on then: it is better gone.
func (k *Keeper) forsaken() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state.Served || len(k.state.Releases) > 0 {
		return false
	}
	k.stopping = true
	return true
}
