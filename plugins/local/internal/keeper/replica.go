//go:build unix

package keeper

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/output"
	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
)

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
	// logTail of a replica that failed stands in the diagnostic.
	logTail = 10
)

// running is a release whose replicas are kept alive.
type running struct {
	id   string
	spec service.Spec
	// cancel ends the replicas; replicas waits until they are gone.
	ctx      context.Context
	cancel   context.CancelFunc
	replicas sync.WaitGroup

	// retiring is set when the release is on its way out, err where that is
	// because it never became ready. Both under the keeper's lock.
	retiring bool
	err      error
}

// run begins to keep the replicas of a release alive. It is called under the lock.
func (k *Keeper) run(rel *service.Release) *running {
	r := &running{id: rel.ID, spec: rel.Spec}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	k.live[rel.ID] = r
	for i, rep := range rel.Replicas {
		known := *rep
		r.replicas.Go(func() { k.keepReplica(r, i, known) })
	}
	return r
}

// process is one incarnation of a replica.
type process struct {
	id    proc.ID
	ended chan struct{}
	// how it ended; set when ended is closed.
	how string
	log string
	// from is the length of the log when it was started.
	from int64
}

// keepReplica keeps one replica running until the release is cancelled, or
// fails before the release is installed.
func (k *Keeper) keepReplica(r *running, i int, rep service.Replica) {
	var p *process
	if rep.Proc.Alive() {
		p = k.watch(r, i, rep.Proc)
	}
	wasReady := p != nil && rep.Ready
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		began := time.Now()
		err := error(nil)
		if p == nil {
			p, rep.Port, err = k.startReplica(r, i, rep.Port)
		}
		if err == nil && !wasReady {
			if err = waitReady(r.ctx, p, rep.Port, r.spec); err == nil {
				k.replicaReady(r, i)
			}
		}
		wasReady = false
		if err == nil {
			select {
			case <-p.ended:
			case <-r.ctx.Done():
			}
		}
		how := ""
		if p != nil {
			if r.ctx.Err() != nil || err != nil {
				proc.Stop(p.id, r.spec.Grace)
			} else {
				proc.Stop(p.id, 0) // what it left of its group
			}
			<-p.ended
			how = p.how
		}
		if err != nil {
			how = err.Error()
		}
		if r.ctx.Err() != nil || k.replicaDown(r, i, how, err) {
			return
		}
		k.log.Warn("replica has ended", "release", r.id, "replica", i, "how", how)
		p = nil
		if time.Since(began) > lastPause {
			pause = firstPause
		}
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// startReplica starts a process at the port, or at another when that is taken.
func (k *Keeper) startReplica(r *running, i, port int) (*process, int, error) {
	k.mu.Lock()
	ln, err := listen(loopback, port)
	if err == nil {
		ln.Close()
	} else if port, err = freePort(k.state); err != nil {
		k.mu.Unlock()
		return nil, port, err
	}
	k.mu.Unlock()

	path := k.dir.ReplicaLog(r.id, i)
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, port, fmt.Errorf("log of replica %d: %w", i, err)
	}
	defer log.Close()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, port, fmt.Errorf("log of replica %d: %w", i, err)
	}
	key := rand.Text()
	k.mu.Lock()
	k.note(func(s *service.State) {
		if rep := replicaOf(s, r.id, i); rep != nil {
			rep.Key, rep.Proc, rep.Port, rep.Ready = key, proc.ID{}, port, false
		}
	})
	k.mu.Unlock()
	cmd := &exec.Cmd{
		Path: r.spec.Path, Args: r.spec.Args, Dir: r.spec.Dir, Stdout: log, Stderr: log,
		Env: append(append([]string(nil), r.spec.Env...),
			"PORT="+strconv.Itoa(port), "RUNNER_RELEASE="+r.id, "RUNNER_REPLICA="+strconv.Itoa(i), service.EnvKey+"="+key),
	}
	if err := proc.StartGroup(cmd); err != nil {
		return nil, port, fmt.Errorf("replica %d cannot be started: %w", i, err)
	}
	p := &process{ended: make(chan struct{}), log: path, from: from}
	if p.id, err = proc.Identify(cmd.Process.Pid); err != nil {
		p.id = proc.ID{PID: cmd.Process.Pid} // it has ended already
	}
	k.mu.Lock()
	k.note(func(s *service.State) {
		if rep := replicaOf(s, r.id, i); rep != nil {
			rep.Proc = p.id
		}
	})
	k.mu.Unlock()
	go func() {
		defer close(p.ended)
		_ = cmd.Wait()
		p.how = cmd.ProcessState.String()
	}()
	return p, port, nil
}

// watch follows a process that an earlier keeper started. It is not our
// child, so its end is not told to us.
func (k *Keeper) watch(r *running, i int, id proc.ID) *process {
	p := &process{id: id, ended: make(chan struct{}), how: "ended while another keeper was coming up", log: k.dir.ReplicaLog(r.id, i)}
	go func() {
		defer close(p.ended)
		for p.id.Alive() {
			time.Sleep(100 * time.Millisecond)
		}
	}()
	return p
}

func replicaOf(s *service.State, release string, i int) *service.Replica {
	if rel := s.Release(release); rel != nil && i < len(rel.Replicas) {
		return rel.Replicas[i]
	}
	return nil
}

// replicaReady lets traffic to the replica. The last one makes its release installed.
func (k *Keeper) replicaReady(r *running, i int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.note(func(s *service.State) {
		rel := s.Release(r.id)
		if rel == nil {
			return
		}
		rel.Replicas[i].Ready = true
		if !r.retiring && rel.Ready() == len(rel.Replicas) {
			rel.Installed, s.Served = true, true
		}
	})
}

// replicaDown takes traffic away from the replica. It reports whether that is
// its end: a release that was never installed has failed.
func (k *Keeper) replicaDown(r *running, i int, how string, err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	rel := k.state.Release(r.id)
	if rel == nil || r.retiring {
		return true
	}
	if !rel.Installed {
		if err == nil {
			err = fmt.Errorf("replica %d ended before the others were ready: %s", i, how)
		}
		r.retiring, r.err = true, err
		go k.clear(r, 0)
		k.wakeAll()
		return true
	}
	k.note(func(s *service.State) {
		rep := replicaOf(s, r.id, i)
		rep.Ready, rep.Key, rep.Proc = false, "", proc.ID{}
		rep.Restarts++
		rep.LastEnd = how
	})
	return false
}

// printed is the end of what the process wrote to its log.
func (p *process) printed() string {
	f, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	tail := &output.Tail{Limit: 16 << 10}
	if _, err := io.Copy(tail, io.NewSectionReader(f, p.from, 1<<40)); err != nil {
		return ""
	}
	lines := output.LastLines(tail.String(), logTail)
	if len(lines) == 0 {
		return " It printed nothing."
	}
	return " It printed last:\n    " + strings.Join(lines, "\n    ") + "\nAll of it is in " + p.log + "."
}
