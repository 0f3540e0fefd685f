//go:build unix

package keeper

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/control"
	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
)

// door is where the keeper is told what to do: a loopback port that opens to
// the token in the service's folder.
type door struct {
	server *http.Server
	token  string
	// stop is closed when somebody asks to end the service.
	stop     chan struct{}
	stopOnce sync.Once
	stopped  chan struct{}
}

// openDoor begins to answer and says in the state where.
func openDoor(k *Keeper) (*door, error) {
	ln, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		return nil, err
	}
	d := &door{stop: make(chan struct{}), stopped: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle("POST "+control.PathInstall, operation(func(ctx context.Context, req control.InstallRequest, a *answer) error {
		rel, err := k.install(ctx, req, a.progress)
		if err == nil {
			a.done.Release = &rel
		} else if k.forsaken() {
			// Nothing was ever here: leave nothing.
			d.stopOnce.Do(func() { close(d.stop) })
		}
		return err
	}))
	mux.Handle("POST "+control.PathWeight, operation(func(ctx context.Context, req control.WeightRequest, _ *answer) error {
		return k.setWeight(ctx, req)
	}))
	mux.Handle("POST "+control.PathSettle, operation(func(_ context.Context, req control.ReleaseRequest, _ *answer) error {
		return k.settle(req.Release)
	}))
	mux.Handle("POST "+control.PathRetire, operation(func(ctx context.Context, req control.ReleaseRequest, a *answer) error {
		return k.retire(ctx, req.Release, a.progress)
	}))
	mux.Handle("POST "+control.PathStop, operation(func(ctx context.Context, _ struct{}, _ *answer) error {
		d.stopOnce.Do(func() { close(d.stop) })
		select {
		case <-d.stopped:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}))
	d.server = &http.Server{Handler: d.guarded(mux), ReadHeaderTimeout: 10 * time.Second}
	k.mu.Lock()
	d.token = k.state.Token
	err = k.change(func(s *service.State) error {
		s.Keeper, s.ControlPort = proc.Me(), ln.Addr().(*net.TCPAddr).Port
		return nil
	})
	k.mu.Unlock()
	if err != nil {
		ln.Close()
		return nil, err
	}
	go func() { _ = d.server.Serve(ln) }()
	return d, nil
}

// close lets answers under way be given.
func (d *door) close() {
	close(d.stopped)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = d.server.Shutdown(ctx)
}

func (d *door) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if subtle.ConstantTimeCompare([]byte(req.Header.Get("Authorization")), []byte("Bearer "+d.token)) != 1 {
			http.Error(w, "the token is missing or wrong", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// answer is given line by line.
type answer struct {
	w    http.ResponseWriter
	done control.Event
}

func (a *answer) send(e control.Event) {
	if json.NewEncoder(a.w).Encode(e) == nil {
		_ = http.NewResponseController(a.w).Flush()
	}
}

func (a *answer) progress(percent int, message string) {
	a.send(control.Event{Progress: message, Percent: percent})
}

// operation reads a request and answers with what came of it.
func operation[T any](do func(context.Context, T, *answer) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req T
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<20)).Decode(&req); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a := &answer{w: w, done: control.Event{Done: true}}
		err := do(r.Context(), req, a)
		if errors.Is(err, errStopping) {
			// What is wanted must be asked of the keeper that comes next.
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		if err != nil {
			refusal := (*service.Refusal)(nil)
			if !errors.As(err, &refusal) {
				refusal = service.Refuse(service.Internal, "%v", err)
			}
			a.done.Refusal = refusal
		}
		a.send(a.done)
	})
}
