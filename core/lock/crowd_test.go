package lock_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/runner-pipelines/runner/core/internal/crowd"
	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/sqlite"
)

const (
	crowdEnvs  = 4
	crowdLease = 700 * time.Millisecond
	// One machine: liveness locks tell who is gone. Many machines: only leases do.
	oneMachine, manyMachines = "one machine", "many machines"
)

// did is what a member of the crowd does, and gave what came of it.
type did struct {
	// Op is take, check, free, write, begin, end; or put, every write of a lock.
	Op    string
	Env   string
	Fence int64 `json:",omitempty"`
}

type gave struct {
	Result string // ok, held, lost, or an error
	Fence  int64  `json:",omitempty"`
	Over   bool   `json:",omitempty"`
}

// recorded is a store that records every write of a lock.
type recorded struct {
	store.Store
	rec *crowd.Recorder
}

func (s recorded) PutAbsent(ctx context.Context, key string, value []byte) (string, error) {
	returned := s.put(key, value)
	v, err := s.Store.PutAbsent(ctx, key, value)
	returned(err)
	return v, err
}

func (s recorded) PutVersion(ctx context.Context, key string, value []byte, version string) (string, error) {
	returned := s.put(key, value)
	v, err := s.Store.PutVersion(ctx, key, value, version)
	returned(err)
	return v, err
}

func (s recorded) put(key string, value []byte) func(error) {
	var e struct {
		Environment string
		Fence       int64
		Holder      *lock.Holder
	}
	_, body, _ := bytes.Cut(value, []byte("\n")) // behind its hash
	if !strings.HasPrefix(key, "locks/") || json.Unmarshal(body, &e) != nil || e.Holder == nil {
		return func(error) {}
	}
	returned := s.rec.Call(did{Op: "put", Env: e.Environment, Fence: e.Fence})
	return func(err error) { returned(gave{Result: result(err)}) }
}

func result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, lock.ErrLost):
		return "lost"
	case errors.As(err, new(*lock.HeldError)):
		return "held"
	}
	return "error: " + err.Error()
}

// member is one process: it takes environments, acts on them, and gives them back.
func member(p crowd.Part) error {
	ctx := context.Background()
	st, err := sqlite.Open(ctx, filepath.Join(p.Place, "state.db"))
	if err != nil {
		return err
	}
	defer st.Close()
	rec, told := crowd.NewRecorder(), crowd.UntilTold()
	name := fmt.Sprintf("c%d", p.Client)
	cfg := lock.KeeperConfig{Store: recorded{st, rec}, Lease: crowdLease, Holder: lock.Holder{Run: name, Alive: name}}
	if p.Role == oneMachine {
		alive, err := lock.AcquireAlive(ctx, filepath.Join(p.Place, "alive"), name, time.Minute)
		if err != nil {
			return err
		}
		defer func() { _ = alive.Release() }()
		if cfg.Liveness, err = lock.NewLiveness(filepath.Join(p.Place, "alive"), true); err != nil {
			return err
		}
	}
	k := lock.NewKeeper(cfg)
	defer k.Close()
	m := worker{part: p, keeper: k, world: st, rec: rec, rnd: rand.New(rand.NewPCG(uint64(p.Client), 7))}
	for {
		select {
		case <-told:
			return nil
		default:
		}
		if err := m.turn(ctx); err != nil {
			return err
		}
	}
}

type worker struct {
	part   crowd.Part
	keeper *lock.Keeper
	world  store.Store
	rec    *crowd.Recorder
	rnd    *rand.Rand
}

// upTo is a random span.
func (w *worker) upTo(d time.Duration) time.Duration { return time.Duration(w.rnd.Int64N(int64(d))) }

func (w *worker) turn(ctx context.Context) error {
	env := fmt.Sprintf("e%d", w.rnd.IntN(crowdEnvs))
	returned := w.rec.Call(did{Op: "take", Env: env})
	taken, err := w.keeper.Take(ctx, env, lock.Patience{Timeout: w.upTo(2 * crowdLease)})
	returned(gave{Result: result(err), Fence: taken.Fence, Over: taken.Over != ""})
	if err != nil {
		if result(err) == "held" {
			return nil
		}
		return err
	}
	for range 1 + w.rnd.IntN(4) {
		returned := w.rec.Call(did{Op: "check", Env: env, Fence: taken.Fence})
		err := w.keeper.Check(ctx, env)
		returned(gave{Result: result(err)})
		if errors.Is(err, lock.ErrLost) {
			break
		}
		if err != nil {
			return err
		}
		if err := w.act(ctx, env, taken.Fence); err != nil {
			return err
		}
	}
	returned = w.rec.Call(did{Op: "free", Env: env, Fence: taken.Fence})
	err = w.keeper.Free(ctx, env)
	returned(gave{Result: result(err)})
	return err
}

// act does something to the world. On one machine an operation takes its time, and
// nothing but the lock protects it; with many, the world refuses what comes late.
func (w *worker) act(ctx context.Context, env string, fence int64) error {
	if w.part.Role == oneMachine {
		w.rec.Call(did{Op: "begin", Env: env, Fence: fence})(gave{Result: "ok"})
		time.Sleep(w.upTo(crowdLease / 8))
		w.rec.Call(did{Op: "end", Env: env, Fence: fence})(gave{Result: "ok"})
		return nil
	}
	time.Sleep(w.upTo(crowdLease / 8))
	returned := w.rec.Call(did{Op: "write", Env: env, Fence: fence})
	err := fencedWrite(ctx, w.world, "world/"+env, fence)
	returned(gave{Result: result(err)})
	if errors.Is(err, lock.ErrLost) {
		return nil
	}
	return err
}

// fencedWrite is a part of the world that knows the largest fence it has seen.
func fencedWrite(ctx context.Context, s store.Store, key string, fence int64) error {
	value := fmt.Appendf(nil, "%d", fence)
	for {
		it, err := s.Get(ctx, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			_, err = s.PutAbsent(ctx, key, value)
		case err == nil:
			var seen int64
			if _, err := fmt.Sscan(string(it.Value), &seen); err != nil {
				return err
			}
			if seen > fence {
				return lock.ErrLost
			}
			_, err = s.PutVersion(ctx, key, value, it.Version)
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// lockState is what is true of one environment at a moment.
type lockState struct {
	fence  int64
	client int // 0: free
	// gone: the holder may be taken for gone.
	gone bool
	// seen is the largest fence that the world has seen.
	seen int64
}

// step is one operation of the model.
type step struct {
	did
	client int
	gave
	// known: its outcome is.
	known bool
}

// lockModel is the specification: who has the lock, by fence, and who may take it
// over. An operation of unknown outcome takes effect once, or not at all.
var lockModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{lockState{}} },
	Step: func(state, input, _ any) []any {
		st, in := state.(lockState), input.(step)
		mine := st.client == in.client && st.fence == in.did.Fence
		after := st
		ok := false
		switch in.Op {
		case "take":
			after = lockState{fence: st.fence + 1, client: in.client, seen: st.seen}
			ok = (st.client == 0 || st.gone) && (!in.known || in.gave.Fence == after.fence && in.Over == (st.client != 0))
			if in.Result == "held" {
				after, ok = st, st.client != 0
			}
		case "renew":
			after.gone = false
			ok = mine
		case "check":
			ok = mine == (in.Result == "ok")
		case "begin", "end":
			ok = mine
		case "write":
			if ok = (st.seen <= in.did.Fence) == (in.Result == "ok"); in.Result == "ok" || !in.known {
				after.seen = max(st.seen, in.did.Fence)
			}
		case "free":
			if ok = true; mine {
				after.client, after.gone = 0, false
			}
		case "killed":
			ok, after.gone = true, st.gone || st.client == in.client
		case "silent":
			ok, after.gone = true, st.gone || mine
		}
		switch {
		case !in.known && ok:
			return []any{st, after}
		case !in.known:
			return []any{st}
		case ok:
			return []any{after}
		}
		return nil
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
}

// steps turns what a crowd did into operations of the model, by environment.
func steps(t *testing.T, h crowd.History, role string) map[string][]porcupine.Operation {
	t.Helper()
	out := map[string][]porcupine.Operation{}
	add := func(s step, from, to int64) {
		out[s.Env] = append(out[s.Env], porcupine.Operation{ClientId: s.client - 1, Input: s, Call: from, Return: to})
	}
	type hold struct {
		env    string
		client int
		fence  int64
	}
	puts := map[hold][]crowd.Operation{}
	// writes are those of a process on an environment that may have taken effect.
	writes := map[hold][]crowd.Operation{}
	// takes are the moments when fences were known to be given, by environment.
	takes := map[string]map[int64]int64{}
	var unknown []porcupine.Operation
	for _, op := range h.Operations {
		s := step{client: op.Client, known: op.Output != nil}
		if err := json.Unmarshal(op.Input, &s.did); err != nil {
			t.Fatal(err)
		}
		if s.known {
			if err := json.Unmarshal(op.Output, &s.gave); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(s.Result, "error") && s.Op != "put" {
				t.Fatalf("client %d: %+v", op.Client, s)
			}
		}
		switch {
		case s.Op == "put":
			if s.Result == "ok" {
				of := hold{s.Env, s.client, s.did.Fence}
				puts[of] = append(puts[of], op)
			}
			if s.Result == "ok" || !s.known {
				of := hold{env: s.Env, client: s.client}
				writes[of] = append(writes[of], op)
			}
		case s.known || s.Op == "free" || s.Op == "write":
			add(s, op.Call, op.Return)
			if s.Op == "take" && s.Result == "ok" {
				if takes[s.Env] == nil {
					takes[s.Env] = map[int64]int64{}
				}
				takes[s.Env][s.gave.Fence] = op.Return
			}
		case s.Op == "take":
			unknown = append(unknown, porcupine.Operation{Input: s, Call: op.Call, Return: op.Return})
		}
	}
	// Who was killed while it only waited has taken nothing.
	for _, op := range unknown {
		s := op.Input.(step)
		for _, w := range writes[hold{env: s.Env, client: s.client}] {
			if w.Call > op.Call {
				add(s, op.Call, op.Return)
				break
			}
		}
	}
	for of, puts := range puts {
		s := step{client: of.client, did: did{Env: of.env, Fence: of.fence}, known: true}
		for i, op := range puts {
			if i > 0 {
				s.Op = "renew"
				add(s, op.Call, op.Return)
			}
			// The entry stood still from its writing until the next; for less than a
			// lease that lets nobody in.
			silent, until := op.Call+int64(crowdLease), h.End
			if i+1 < len(puts) {
				until = puts[i+1].Return
			}
			// What comes after the next one has taken the lock concerns nobody.
			for f, at := range takes[of.env] {
				if f > of.fence {
					until = min(until, at)
				}
			}
			if role == manyMachines && silent < until {
				s.Op = "silent"
				add(s, silent, until)
			}
		}
	}
	if role == oneMachine {
		for _, d := range h.Deaths {
			for i := range crowdEnvs {
				env := fmt.Sprintf("e%d", i)
				if len(writes[hold{env: env, client: d.Client}]) > 0 {
					add(step{did: did{Op: "killed", Env: env}, client: d.Client, known: true}, d.From, d.To)
				}
			}
		}
	}
	return out
}

func judge(t *testing.T, byEnv map[string][]porcupine.Operation) {
	t.Helper()
	for env, ops := range byEnv {
		switch got := porcupine.CheckOperationsTimeout(lockModel.ToModel(), ops, 2*time.Minute); got {
		case porcupine.Ok:
		case porcupine.Unknown:
			t.Errorf("%s: the checker did not finish with %d operations", env, len(ops))
		default:
			path := filepath.Join(os.TempDir(), "lock-history-"+env+".html")
			_, info := porcupine.CheckOperationsVerbose(lockModel.ToModel(), ops, time.Minute)
			err := porcupine.VisualizePath(lockModel.ToModel(), info, path)
			t.Errorf("%s: %d operations are not linearizable; see %s (%v)", env, len(ops), path, err)
		}
	}
}

func crowdOf(t *testing.T, role string, long time.Duration) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("processes cannot be paused on Windows")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := crowd.Run(t, crowd.Config{
		Role: role, Place: t.TempDir(), Processes: 32, For: long, Seed: seed,
		Kill: 150 * time.Millisecond, Pause: 100 * time.Millisecond, PauseFor: 3 * crowdLease,
	})
	byEnv := steps(t, h, role)
	judge(t, byEnv)
	count := map[string]int{}
	operations := 0
	for _, ops := range byEnv {
		operations += len(ops)
		for _, op := range ops {
			s := op.Input.(step)
			if s.Over {
				count["over"]++
			}
			count[s.Op+" "+s.Result]++
		}
	}
	t.Logf("%d processes, %d killed, %d pauses, %d operations: %v", h.Processes, len(h.Deaths), h.Pauses, operations, count)
	if count["take ok"] == 0 || long > time.Minute/2 && count["over"] == 0 || len(h.Deaths) == 0 || h.Pauses == 0 {
		t.Errorf("the crowd did too little to prove anything")
	}
	topic := "Two at once: " + role
	figures.Record(t, topic, "processes that take locks, 32 at a time", "%d", h.Processes)
	figures.Record(t, topic, "of them killed at random with -9", "%d", len(h.Deaths))
	figures.Record(t, topic, "pauses at random, up to three leases long", "%d", h.Pauses)
	figures.Record(t, topic, "operations in the history, found linearizable", "%d", operations)
	figures.Record(t, topic, "locks taken", "%d", count["take ok"])
	figures.Record(t, topic, "locks taken over from processes that were gone", "%d", count["over"])
	if role == oneMachine {
		figures.Record(t, topic, "operations during which another had the lock", "0 of %d", count["begin ok"])
		return
	}
	figures.Record(t, topic, "checks that told a process of its loss before it acted", "%d", count["check lost"])
	figures.Record(t, topic, "late writes accepted by a world that compares fences", "0 of %d (%d were refused)", count["write ok"]+count["write lost"], count["write lost"])
}

// Thirty-two processes are killed and paused at random. Nobody takes over from one
// that lives, on one machine; nor, with many, before a whole lease without a sign of life.
func TestManyProcessesShareLocks(t *testing.T) {
	for _, role := range []string{oneMachine, manyMachines} {
		t.Run(role, func(t *testing.T) { crowdOf(t, role, 3*time.Second) })
	}
}

func TestRealCrowdSharesLocks(t *testing.T) {
	if os.Getenv("RUNNER_TEST_REAL") == "" {
		t.Skip("RUNNER_TEST_REAL is not set: make test-real runs this")
	}
	for _, role := range []string{oneMachine, manyMachines} {
		t.Run(role, func(t *testing.T) { crowdOf(t, role, 45*time.Second) })
	}
}

// The judge is judged: what must not be is found.
func TestTheModelRefusesWhatMustNotBe(t *testing.T) {
	take := func(client int, fence int64, over bool) step {
		return step{did: did{Op: "take"}, client: client, gave: gave{Result: "ok", Fence: fence, Over: over}, known: true}
	}
	op := func(name string, client int, fence int64, result string) step {
		return step{did: did{Op: name, Fence: fence}, client: client, gave: gave{Result: result}, known: true}
	}
	for name, tc := range map[string]struct {
		steps []step
		want  bool
	}{
		"one after the other":                   {[]step{take(1, 1, false), op("free", 1, 1, "ok"), take(2, 2, false)}, true},
		"two at once":                           {[]step{take(1, 1, false), take(2, 2, false)}, false},
		"taken over from a living one":          {[]step{take(1, 1, false), take(2, 2, true)}, false},
		"taken over from a killed one":          {[]step{take(1, 1, false), op("killed", 1, 0, ""), take(2, 2, true)}, true},
		"another was killed":                    {[]step{take(1, 1, false), op("killed", 3, 0, ""), take(2, 2, true)}, false},
		"taken over from a silent one":          {[]step{take(1, 1, false), op("silent", 1, 1, ""), take(2, 2, true)}, true},
		"it was silent, but renewed":            {[]step{take(1, 1, false), op("silent", 1, 1, ""), op("renew", 1, 1, ""), take(2, 2, true)}, false},
		"a fence twice":                         {[]step{take(1, 1, false), op("free", 1, 1, "ok"), take(2, 1, false)}, false},
		"a check of a lost lock that is told":   {[]step{take(1, 1, false), op("silent", 1, 1, ""), take(2, 2, true), op("check", 1, 1, "lost")}, true},
		"a check of a lost lock that holds":     {[]step{take(1, 1, false), op("silent", 1, 1, ""), take(2, 2, true), op("check", 1, 1, "ok")}, false},
		"a late renewal":                        {[]step{take(1, 1, false), op("silent", 1, 1, ""), take(2, 2, true), op("renew", 1, 1, "")}, false},
		"an operation outlasts its lock":        {[]step{take(1, 1, false), op("begin", 1, 1, "ok"), op("killed", 1, 0, ""), take(2, 2, true), op("end", 1, 1, "ok")}, false},
		"a late write before the new one's":     {[]step{take(1, 1, false), op("silent", 1, 1, ""), take(2, 2, true), op("write", 1, 1, "ok"), op("write", 2, 2, "ok")}, true},
		"a late write after the new one's":      {[]step{take(1, 1, false), op("silent", 1, 1, ""), take(2, 2, true), op("write", 2, 2, "ok"), op("write", 1, 1, "ok")}, false},
		"a late write that is refused":          {[]step{take(1, 1, false), op("silent", 1, 1, ""), take(2, 2, true), op("write", 2, 2, "ok"), op("write", 1, 1, "lost")}, true},
		"refused though nobody has it":          {[]step{op("take", 1, 0, "held")}, false},
		"a late free changes nothing":           {[]step{take(1, 1, false), op("silent", 1, 1, ""), take(2, 2, true), op("free", 1, 1, "ok"), take(3, 3, false)}, false},
		"a killed one's free may have happened": {[]step{take(1, 1, false), {did: did{Op: "free", Fence: 1}, client: 1}, take(2, 2, false)}, true},
		"a killed one's take may have happened": {[]step{{did: did{Op: "take"}, client: 1}, op("killed", 1, 0, ""), take(2, 2, true)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var ops []porcupine.Operation
			for i, s := range tc.steps {
				ops = append(ops, porcupine.Operation{ClientId: s.client, Input: s, Call: int64(10 * i), Return: int64(10*i + 5)})
			}
			if got := porcupine.CheckOperations(lockModel.ToModel(), ops); got != tc.want {
				t.Errorf("the history is accepted: %v, want %v", got, tc.want)
			}
		})
	}
}
