package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/runner-pipelines/runner/core/internal/crowd"
	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/store"
)

// crowdKeys are few, so that processes meet.
const crowdKeys = 6

// request is an operation on one key. Values are written once, so that they tell
// which write was read.
type request struct {
	// Op is get, list, absent, version or delete.
	Op      string
	Key     string
	Value   string `json:",omitempty"`
	Version string `json:",omitempty"`
}

type answer struct {
	// Result is ok, none, conflict, or error: then nobody knows.
	Result  string
	Value   string `json:",omitempty"`
	Version string `json:",omitempty"`
}

// join is a process of a crowd: it does what comes into its mind until it is told to end.
func join(p crowd.Part, open func(place string) (store.Store, error)) error {
	st, err := open(p.Place)
	if err != nil {
		return err
	}
	defer st.Close()
	rec, told := crowd.NewRecorder(), crowd.UntilTold()
	rnd := rand.New(rand.NewPCG(uint64(p.Client), 3))
	seen := map[string]string{}
	for n := 0; ; n++ {
		select {
		case <-told:
			return nil
		default:
		}
		r := request{Op: []string{"get", "list", "absent", "version", "version", "delete"}[rnd.IntN(6)], Key: fmt.Sprintf("k%d", rnd.IntN(crowdKeys))}
		switch r.Op {
		case "absent", "version":
			r.Value = fmt.Sprintf("%d-%d", p.Client, n)
		}
		switch r.Op {
		case "version", "delete":
			r.Version = seen[r.Key]
		}
		returned := rec.Call(r)
		a := ask(st, r)
		returned(a)
		if a.Version != "" {
			seen[r.Key] = a.Version
		}
	}
}

func ask(st store.Store, r request) answer {
	ctx := context.Background()
	var it store.Item
	var err error
	switch r.Op {
	case "get":
		it, err = st.Get(ctx, r.Key)
	case "list":
		var items []store.Item
		if items, err = st.List(ctx, r.Key, "", 1); err == nil && len(items) == 0 {
			err = store.ErrNotFound
		} else if err == nil {
			it = items[0]
		}
	case "absent":
		it.Version, err = st.PutAbsent(ctx, r.Key, []byte(r.Value))
	case "version":
		it.Version, err = st.PutVersion(ctx, r.Key, []byte(r.Value), r.Version)
	case "delete":
		err = st.Delete(ctx, r.Key, r.Version)
	}
	switch {
	case err == nil:
		return answer{Result: "ok", Value: string(it.Value), Version: it.Version}
	case errors.Is(err, store.ErrNotFound):
		return answer{Result: "none"}
	case errors.Is(err, store.ErrConflict):
		return answer{Result: "conflict"}
	}
	return answer{Result: "error"}
}

// keyState is one key at a moment. The version is "?" after a write whose writer was
// killed before it could tell.
type keyState struct {
	exists         bool
	value, version string
}

type exchange struct {
	request
	answer
	known bool
}

// keyModel is what the interface promises of one key.
var keyModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{keyState{}} },
	Step: func(state, input, _ any) []any {
		st, x := state.(keyState), input.(exchange)
		fits := st.exists && st.version == x.request.Version
		var ok bool
		after := st
		written := keyState{exists: true, value: x.request.Value, version: x.answer.Version}
		if !x.known {
			written.version = "?"
		}
		switch x.Op {
		case "get", "list":
			if !x.known {
				return []any{st}
			}
			if x.Result == "none" {
				ok = !st.exists
				break
			}
			ok = st.exists && st.value == x.answer.Value && (st.version == "?" || st.version == x.answer.Version)
			after.version = x.answer.Version
		case "absent":
			if ok = !st.exists; ok {
				after = written
			}
		case "version":
			if ok = fits; ok {
				after = written
			}
		case "delete":
			if ok = !st.exists || fits; ok {
				after = keyState{}
			}
		}
		switch {
		case !x.known && ok:
			return []any{st, after}
		case !x.known:
			return []any{st}
		case x.Result == "conflict" && !ok:
			return []any{st}
		case x.Result != "conflict" && ok:
			return []any{after}
		}
		return nil
	},
}

// exchanges turns a history into operations of the model, by key.
func exchanges(t *testing.T, h crowd.History) map[string][]porcupine.Operation {
	t.Helper()
	out := map[string][]porcupine.Operation{}
	for _, op := range h.Operations {
		x := exchange{known: op.Output != nil}
		if err := json.Unmarshal(op.Input, &x.request); err != nil {
			t.Fatal(err)
		}
		if x.known {
			if err := json.Unmarshal(op.Output, &x.answer); err != nil {
				t.Fatal(err)
			}
		}
		if x.Result == "error" {
			x.known, op.Return = false, h.End
		}
		out[x.Key] = append(out[x.Key], porcupine.Operation{ClientId: op.Client - 1, Input: x, Call: op.Call, Return: op.Return})
	}
	return out
}

// Crowd lets 32 processes use one store for a while, kills some of them at random,
// and fails unless everything that all of them saw could have happened one
// operation after the other. It needs Suite.Processes.
func Crowd(t *testing.T, s Suite, long time.Duration) {
	t.Helper()
	if !s.Processes {
		t.Skip("the store does not declare that several processes can open it")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := crowd.Run(t, crowd.Config{
		Place: s.Place(t), Processes: 32, For: long, Seed: seed,
		Kill: 150 * time.Millisecond, Pause: 300 * time.Millisecond, PauseFor: 200 * time.Millisecond,
	})
	byKey, n := exchanges(t, h), 0
	for key, ops := range byKey {
		n += len(ops)
		switch porcupine.CheckOperationsTimeout(keyModel.ToModel(), ops, 2*time.Minute) {
		case porcupine.Illegal:
			t.Errorf("the %d operations on %s are not linearizable", len(ops), key)
		case porcupine.Unknown:
			t.Errorf("the checker did not finish with the %d operations on %s", len(ops), key)
		}
	}
	t.Logf("%d processes, %d killed, %d operations", h.Processes, len(h.Deaths), n)
	if n < 100 || len(h.Deaths) == 0 {
		t.Errorf("%d operations and %d deaths are too few to prove anything", n, len(h.Deaths))
	}
	figures.Record(t, "Two at once: the store", "processes on one store, 32 at a time", "%d", h.Processes)
	figures.Record(t, "Two at once: the store", "of them killed at random with -9", "%d", len(h.Deaths))
	figures.Record(t, "Two at once: the store", "operations in the history, found linearizable", "%d", n)
}

func processesCrowd(t *testing.T, s Suite) { Crowd(t, s, 2*time.Second) }
