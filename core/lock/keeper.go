package lock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/core/store"
)

// DefaultLease is how long a lock may stay unrenewed before its holder counts as
// gone, where nothing better tells.
const DefaultLease = time.Minute

const (
	// renewals within a lease: one may fail, and another come late.
	renewals = 4
	// How often a lock that another has is looked at.
	firstPoll = 20 * time.Millisecond
	lastPoll  = 500 * time.Millisecond
	// How often who waits is told so.
	firstWord = 10 * time.Second
	lastWord  = time.Minute
)

// KeeperConfig says for whom a Keeper takes locks.
type KeeperConfig struct {
	Store store.Store
	// Run that the process drives, and who it is; Host, PID and Process are filled
	// in when empty.
	Holder Holder
	// Liveness tells what is known of other holders; nil when nothing is.
	Liveness *Liveness
	// Lease is DefaultLease when 0.
	Lease time.Duration
	// Ended reports whether a run is closed: it needs no lock any more. Nil: none is.
	Ended func(ctx context.Context, run string) (bool, error)
	// Keeps says why a run keeps the lock of an environment although its processes
	// are gone; empty when another may have it. Nil: none does.
	Keeps func(ctx context.Context, run, environment string) (string, error)
	// Now is for what people read; time.Now when nil.
	Now func() time.Time
}

// Keeper takes locks for one process and renews them until Close. Its methods may
// be called at the same time.
type Keeper struct {
	KeeperConfig
	lost chan Loss
	stop context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	kept   map[name]int64 // fences
	drives bool           // TakeRun has succeeded
}

// Loss is a lock that the Keeper has held and another has now.
type Loss struct {
	// Environment is empty for the lock of the run.
	Environment string
	// Err wraps ErrLost.
	Err error
}

// NewKeeper takes nothing yet.
func NewKeeper(cfg KeeperConfig) *Keeper {
	if cfg.Lease <= 0 {
		cfg.Lease = DefaultLease
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	h := &cfg.Holder
	if h.Host == "" {
		h.Host, _ = os.Hostname()
	}
	if h.PID == 0 {
		h.PID = os.Getpid()
	}
	if h.Process == "" {
		h.Process = rand.Text()[:12]
	}
	h.Lease = cfg.Lease
	if cfg.Liveness != nil {
		h.Place = cfg.Liveness.Place()
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &Keeper{KeeperConfig: cfg, lost: make(chan Loss, 16), stop: stop, done: make(chan struct{}), kept: map[name]int64{}}
	go k.renew(ctx)
	return k
}

// Lost gives every lock that was lost without having been freed, once.
func (k *Keeper) Lost() <-chan Loss { return k.lost }

// Close ends renewing. Locks that were not freed stay with the run: they count
// until their lease has ended, or until the process is known to be gone.
func (k *Keeper) Close() {
	k.stop()
	<-k.done
}

// Patience is how long to wait for a lock that another has.
type Patience struct {
	// Timeout is measured from the call; 0 is not to wait at all.
	Timeout time.Duration
	// Waiting is called when the wait begins and now and then during it; may be nil.
	Waiting func(held *HeldError, waited time.Duration)
}

// Taken is a lock that was got.
type Taken struct {
	// Fence is larger than every one that the lock has had before.
	Fence int64
	// Over says from whom it was taken over, and why that was right; empty for a
	// lock that was free.
	Over string
}

// Take takes the lock of an environment for the run. The run that has it may take
// it again: earlier fences are then lost. Another holder is waited for as long as p
// says and then gets a *HeldError, but for one that has closed, or is gone and does
// not keep the lock: that is taken over.
//
// After another error the lock may be taken all the same; take it again to know.
func (k *Keeper) Take(ctx context.Context, environment string, p Patience) (Taken, error) {
	return k.take(ctx, name{environment: environment}, p)
}

// TakeRun makes this process the one that drives the run, as Take does for an
// environment: another process of the same run must be gone first.
func (k *Keeper) TakeRun(ctx context.Context, p Patience) (Taken, error) {
	taken, err := k.take(ctx, name{run: k.Holder.Run}, p)
	if err == nil {
		k.mu.Lock()
		k.drives = true
		k.mu.Unlock()
	}
	return taken, err
}

func (k *Keeper) take(ctx context.Context, n name, p Patience) (Taken, error) {
	var w watch
	begun, pause := time.Now(), firstPoll
	nextWord, word := time.Duration(0), firstWord
	for {
		e, version, err := load(ctx, k.Store, n)
		if err != nil {
			return Taken{}, err
		}
		held, over, err := k.inTheWay(ctx, n, e, version, &w)
		if err != nil {
			return Taken{}, err
		}
		if held == nil {
			taken, err := k.put(ctx, n, e, version, over)
			if errors.Is(err, store.ErrConflict) {
				continue
			}
			return taken, err
		}
		waited := time.Since(begun)
		if waited >= p.Timeout {
			return Taken{}, held
		}
		if p.Waiting != nil && waited >= nextWord {
			p.Waiting(held, waited)
			nextWord, word = waited+word, min(2*word, lastWord)
		}
		// Spread, so that many who wait do not ask at the same moments.
		spread := pause*3/4 + mathrand.N(pause/2)
		select {
		case <-ctx.Done():
			return Taken{}, context.Cause(ctx)
		case <-time.After(min(spread, p.Timeout-waited)):
		}
		pause = min(pause*3/2, lastPoll)
	}
}

func (k *Keeper) put(ctx context.Context, n name, e entry, version, over string) (Taken, error) {
	if e.Broken != nil {
		over = fmt.Sprintf("%s on %s took it away from %s", e.Broken.By, e.Broken.Host, e.Broken.From)
		if e.Broken.From.Run == "" {
			over = fmt.Sprintf("%s on %s cleared it", e.Broken.By, e.Broken.Host)
		}
	}
	h := k.Holder
	h.Since = k.Now().UTC().Truncate(time.Millisecond)
	next := entry{Environment: n.environment, Run: n.run, Fence: e.Fence + 1, Holder: &h}
	if err := save(ctx, k.Store, next, version); err != nil {
		return Taken{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept[n] = next.Fence
	return Taken{Fence: next.Fence, Over: over}, nil
}

// watch is an entry that is being looked at, and since when it is as it is. The
// moment is one of this process's clock, which goes on evenly.
type watch struct {
	version string
	since   time.Time
}

// inTheWay returns who keeps us from taking the lock: nil when nobody does, and
// then why that is right.
func (k *Keeper) inTheWay(ctx context.Context, n name, e entry, version string, w *watch) (held *HeldError, over string, err error) {
	if e.Holder == nil || e.Holder.Process == k.Holder.Process || n.run == "" && e.Holder.Run == k.Holder.Run {
		return nil, "", nil
	}
	if w.version != version {
		w.version, w.since = version, time.Now()
	}
	held = e.held()
	if n.run == "" && k.Ended != nil {
		ended, err := k.Ended(ctx, e.Holder.Run)
		if err != nil {
			return nil, "", err
		}
		if ended {
			return nil, fmt.Sprintf("run %s, which had it, has ended", e.Holder.Run), nil
		}
	}
	held.Life = k.Liveness.Of(*e.Holder, k.Holder)
	lease := e.Holder.Lease
	if lease <= 0 {
		lease = DefaultLease
	}
	switch {
	case held.Life == Gone:
		over = fmt.Sprintf("%s, which had it, has ended without freeing it", processOf(e.Holder))
	case held.Life == Unknown && time.Since(w.since) >= lease:
		held.Life = Gone
		over = fmt.Sprintf("%s, which had it, has not renewed it for %s", processOf(e.Holder), lease)
	default:
		return held, "", nil
	}
	if n.run == "" && k.Keeps != nil {
		if held.Keeps, err = k.Keeps(ctx, e.Holder.Run, n.environment); err != nil || held.Keeps != "" {
			return held, "", err
		}
	}
	return nil, over, nil
}

func processOf(h *Holder) string {
	return fmt.Sprintf("process %d on %s of run %s", h.PID, h.Host, h.Run)
}

// Adopt keeps the lock of an environment that the run has in the store already,
// without a write: for a store that can only be read. The caller makes sure that
// no other process of the run is left. A *HeldError says that another run has it,
// ErrLost that nobody has.
func (k *Keeper) Adopt(ctx context.Context, environment string) (fence int64, err error) {
	n := name{environment: environment}
	e, _, err := load(ctx, k.Store, n)
	switch {
	case err != nil:
		return 0, err
	case e.Holder == nil:
		return 0, fmt.Errorf("%s: %w: nobody holds it", n, ErrLost)
	case e.Holder.Run != k.Holder.Run:
		held := e.held()
		held.Life = k.Liveness.Of(*e.Holder, k.Holder)
		return 0, held
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept[n] = e.Fence
	return e.Fence, nil
}

// Check returns ErrLost unless the run, where TakeRun was called, and the
// environment, where one is named, are still this process's own. Call it at the
// last moment before acting. After any other error nobody knows.
func (k *Keeper) Check(ctx context.Context, environment string) error {
	k.mu.Lock()
	drives := k.drives
	k.mu.Unlock()
	if drives {
		if err := k.checkOne(ctx, name{run: k.Holder.Run}); err != nil {
			return err
		}
	}
	if environment == "" {
		return nil
	}
	return k.checkOne(ctx, name{environment: environment})
}

func (k *Keeper) checkOne(ctx context.Context, n name) error {
	fence, ok := k.fence(n)
	if !ok {
		return fmt.Errorf("%s: %w: this process does not hold it", n, ErrLost)
	}
	return check(ctx, k.Store, n, fence)
}

// Free gives an environment back, and FreeRun the run. One that is free already,
// or was lost, is no error.
func (k *Keeper) Free(ctx context.Context, environment string) error {
	return k.free(ctx, name{environment: environment})
}

// FreeRun is Free for the run that this process drives.
func (k *Keeper) FreeRun(ctx context.Context) error {
	k.mu.Lock()
	k.drives = false
	k.mu.Unlock()
	return k.free(ctx, name{run: k.Holder.Run})
}

func (k *Keeper) free(ctx context.Context, n name) error {
	fence, ok := k.fence(n)
	if !ok {
		return nil
	}
	k.mu.Lock()
	delete(k.kept, n)
	k.mu.Unlock()
	for {
		e, version, err := load(ctx, k.Store, n)
		if err != nil {
			return err
		}
		if e.Fence != fence || e.Holder == nil {
			return nil
		}
		e.Holder = nil
		if err = save(ctx, k.Store, e, version); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func (k *Keeper) fence(n name) (int64, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fence, ok := k.kept[n]
	return fence, ok
}

// renew changes every entry several times within a lease, so that others see that
// its holder lives.
func (k *Keeper) renew(ctx context.Context) {
	defer close(k.done)
	tick := time.NewTicker(k.Lease / renewals)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		k.mu.Lock()
		kept := make(map[name]int64, len(k.kept))
		for n, fence := range k.kept {
			kept[n] = fence
		}
		k.mu.Unlock()
		for n, fence := range kept {
			err := k.renewOne(ctx, n, fence)
			// A store that cannot be reached says nothing: the next tick asks again.
			if errors.Is(err, ErrLost) {
				k.lose(n, fence, err)
			}
		}
	}
}

// Renew renews one lock now; the Keeper does so by itself. ErrLost when another has it.
func (k *Keeper) Renew(ctx context.Context, environment string) error {
	n := name{environment: environment}
	fence, ok := k.fence(n)
	if !ok {
		return fmt.Errorf("%s: %w: this process does not hold it", n, ErrLost)
	}
	return k.renewOne(ctx, n, fence)
}

func (k *Keeper) renewOne(ctx context.Context, n name, fence int64) error {
	for {
		e, version, err := load(ctx, k.Store, n)
		if err != nil {
			return err
		}
		if e.Fence != fence || e.Holder == nil {
			return lost(n, e)
		}
		e.Beat++
		if err := save(ctx, k.Store, e, version); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// lose tells of a loss, unless the lock was freed or taken again meanwhile.
func (k *Keeper) lose(n name, fence int64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept[n] != fence {
		return
	}
	delete(k.kept, n)
	select {
	case k.lost <- Loss{Environment: n.environment, Err: err}:
	default: // who reads none of sixteen reads none at all
	}
}
