package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/store/memstore"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
)

func TestStagesSeeWhatEarlierOnesGave(t *testing.T) {
	b := newBench(t, chain(4))
	var said []string
	b.acts(func(_ context.Context, _ call.Call, text string, _ host.Sink) (string, error) {
		said = append(said, text)
		return text, nil
	})
	b.wantClosed(kernel.Succeeded)
	if d := cmp.Diff([]string{"a", "ab", "abb", "abbb"}, said); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestKeysAreEqualOverRetriesAndDifferBetweenStages(t *testing.T) {
	b := newBench(t, `stage "flaky" {
  use "act" {}
  retry {
    attempts  = 3
    delay     = "1ms"
    max_delay = "2ms"
  }
}
stage "other" {
  use "act" {}
  depends_on = [stage.flaky]
}
`)
	keys := map[string][]string{}
	b.acts(func(_ context.Context, c call.Call, _ string, _ host.Sink) (string, error) {
		keys[c.Node] = append(keys[c.Node], c.Key)
		if c.Node == "stage.flaky" && c.Attempt < 3 {
			return "", diag.New("Not yet", "attempt %d fails.", c.Attempt)
		}
		return "", nil
	})
	b.wantClosed(kernel.Succeeded)
	flaky := keys["stage.flaky"]
	if len(flaky) != 3 || flaky[0] != flaky[1] || flaky[1] != flaky[2] {
		t.Errorf("keys of three attempts: %v, want three equal ones", flaky)
	}
	if keys["stage.other"][0] == flaky[0] {
		t.Errorf("two stages share the key %s", flaky[0])
	}
}

// A secret comes in by a variable, goes out as an output and in the log, and is
// used by another stage: no record has it.
func TestSecretsAreInNoRecord(t *testing.T) {
	const secret = "hunter2-hunter2"
	b := newBench(t, `variable "password" {
  type      = string
  sensitive = true
}
stage "login" {
  use "act" {
    text = "user:${var.password}"
  }
}
stage "use" {
  use "act" {
    text = stage.login.said
  }
}
`, "password="+secret)
	var got []string
	b.acts(func(_ context.Context, _ call.Call, text string, sink host.Sink) (string, error) {
		got = append(got, text)
		sink.Log(host.Line{Time: time.Now(), Message: "using " + text, Attrs: map[string]string{"as": secret}})
		return "token for " + text, nil
	})
	var shown []string
	idle, _, err := b.drive(func(c *Config) {
		c.Log = func(_ kernel.Command, l logs.Line) { shown = append(shown, l.Message+l.Attrs["as"]) }
	})
	if err != nil || idle != kernel.Closed {
		t.Fatalf("left %q, error %v", idle, err)
	}
	if d := cmp.Diff([]string{"user:" + secret, "token for user:" + secret}, got); d != "" {
		t.Errorf("the plugin got (-want +got):\n%s", d)
	}
	for _, key := range b.store.Keys("") {
		item, err := b.store.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(item.Value, []byte(secret)) {
			t.Errorf("%s holds the secret", key)
		}
	}
	if all := strings.Join(shown, "\n"); strings.Contains(all, secret) || !strings.Contains(all, "(sensitive)") {
		t.Errorf("the log shows %q", all)
	}
}

// The process dies under a once operation: nobody repeats it without a word.
func TestLostOnceOperationIsInDoubt(t *testing.T) {
	b := newBench(t, chain(2))
	var runs atomic.Int32
	gone := make(chan struct{})
	close(gone)
	b.pool.plugin.done = gone
	b.acts(func(context.Context, call.Call, string, host.Sink) (string, error) {
		runs.Add(1)
		return "", host.ErrLost
	})
	idle, _, err := b.drive(nil)
	if err != nil || idle != kernel.WaitingForPeople {
		t.Fatalf("left %q, error %v, want it to wait for people", idle, err)
	}
	idle, state, err := b.drive(nil)
	if err != nil || idle != kernel.WaitingForPeople || runs.Load() != 1 {
		t.Fatalf("resumed: left %q after %d runs, error %v", idle, runs.Load(), err)
	}
	view, _ := state.Node("stage.s0")
	b.acts(echo)
	answer := kernel.GateAnswered{
		Node: view.ID, Gate: view.Gates[0].Name, Subject: view.Gates[0].Subject, Who: "bob", How: "test", Yes: true,
		Values: map[string]json.RawMessage{"outcome": json.RawMessage(`"again"`)},
	}
	if err := Send(t.Context(), b.store, b.rec.ID, time.Now(), Post{Answer: &answer}); err != nil {
		t.Fatal(err)
	}
	b.wantClosed(kernel.Succeeded)
}

func TestLostConvergentOperationIsRepeated(t *testing.T) {
	b := newBench(t, `stage "s" {
  use "again" {}
}
`)
	var runs atomic.Int32
	gone := make(chan struct{})
	close(gone)
	b.pool.plugin.done = gone
	b.acts(func(context.Context, call.Call, string, host.Sink) (string, error) {
		if runs.Add(1) < 3 {
			return "", host.ErrLost
		}
		return "", nil
	})
	b.wantClosed(kernel.Succeeded)
	if runs.Load() != 3 {
		t.Errorf("it ran %d times, want 3", runs.Load())
	}
}

// A plugin that ignores cancellation is taken out of use; the run leaves and can
// be resumed.
func TestStopNowLeavesAHangingCall(t *testing.T) {
	b := newBench(t, chain(2))
	started := make(chan struct{})
	b.acts(func(ctx context.Context, _ call.Call, _ string, _ host.Sink) (string, error) {
		close(started)
		<-ctx.Done()
		return "", ctx.Err() // the host has waited its grace
	})
	stop := make(chan kernel.StopMode, 2)
	go func() {
		<-started
		stop <- kernel.StopAfter
		stop <- kernel.StopNow
	}()
	idle, state, err := b.drive(func(c *Config) { c.Stop = stop })
	if err != nil || idle != kernel.Stopped {
		t.Fatalf("left %q, error %v, want it stopped", idle, err)
	}
	if b.pool.quarantined != 1 {
		t.Errorf("%d processes were quarantined, want 1", b.pool.quarantined)
	}
	if view, _ := state.Node("stage.s1"); view.Status != "waiting" {
		t.Errorf("the next stage is %s", view.Status)
	}
}

// The first Ctrl-C lets what is under way end and starts nothing more.
func TestStopAfterFinishesWhatIsUnderWay(t *testing.T) {
	b := newBench(t, chain(3))
	stop, stopping := make(chan kernel.StopMode, 1), make(chan struct{})
	var runs atomic.Int32
	b.acts(func(_ context.Context, _ call.Call, text string, _ host.Sink) (string, error) {
		if runs.Add(1) == 1 {
			stop <- kernel.StopAfter
			<-stopping
		}
		return text, nil
	})
	idle, state, err := b.drive(func(c *Config) {
		c.Stop = stop
		c.Observer = func(ev kernel.Event) {
			if _, ok := ev.Fact.(kernel.RunStopping); ok {
				close(stopping)
			}
		}
	})
	if err != nil || idle != kernel.Stopped || runs.Load() != 1 {
		t.Fatalf("left %q after %d acts, error %v, want it stopped after 1", idle, runs.Load(), err)
	}
	if view, _ := state.Node("stage.s0"); view.Outcome != kernel.Succeeded {
		t.Errorf("what was under way ended %q", view.Outcome)
	}
	b.wantClosed(kernel.Succeeded)
	if runs.Load() != 3 {
		t.Errorf("%d acts in all, want 3", runs.Load())
	}
}

func TestFencedEngineStops(t *testing.T) {
	b := newBench(t, chain(3))
	var runs atomic.Int32
	b.acts(func(_ context.Context, _ call.Call, text string, _ host.Sink) (string, error) {
		if runs.Add(1) == 1 {
			// Another process resumes the run while this one works.
			other, _ := b.engine(nil)
			ev, _ := kernel.Event{At: other.time(), Fact: kernel.Noted{Text: "mine"}}.Encode()
			if err := other.Journal.Append(t.Context(), time.Now(), []json.RawMessage{ev}); err != nil {
				t.Error(err)
			}
		}
		return text, nil
	})
	_, _, err := b.drive(nil)
	if !errors.Is(err, journal.ErrFenced) || runs.Load() != 1 {
		t.Fatalf("error %v after %d acts, want it fenced after 1", err, runs.Load())
	}
}

// Nothing is carried out that is not written down.
func TestNothingStartsWhileTheStoreFails(t *testing.T) {
	b := newBench(t, chain(2))
	full := errors.New("disk is full")
	var failing atomic.Bool
	b.store.Before = func(op memstore.Op) error {
		if failing.Load() && strings.Contains(op.Key, "/journal/") && op.Name == "put_absent" {
			return full
		}
		return nil
	}
	var runs atomic.Int32
	b.acts(func(_ context.Context, _ call.Call, text string, _ host.Sink) (string, error) {
		runs.Add(1)
		failing.Store(true)
		return text, nil
	})
	_, _, err := b.drive(nil)
	if !errors.Is(err, full) || runs.Load() != 1 {
		t.Fatalf("error %v after %d acts, want %v after 1", err, runs.Load(), full)
	}
}

func TestHandleIsInTheJournalBeforeTheCallGoesOn(t *testing.T) {
	b := newBench(t, chain(1))
	b.acts(func(_ context.Context, _ call.Call, text string, sink host.Sink) (string, error) {
		if err := sink.Handle(call.Handle{ID: "job-7", Opaque: []byte("x")}); err != nil {
			return "", err
		}
		for _, key := range b.store.Keys("runs/" + b.rec.ID + "/journal/") {
			if item, err := b.store.Get(t.Context(), key); err == nil && bytes.Contains(item.Value, []byte("job-7")) {
				return text, nil
			}
		}
		return "", errors.New("the handle is not in the journal")
	})
	b.wantClosed(kernel.Succeeded)
}

func TestPluginThatPanicsTheEngineFailsOneStage(t *testing.T) {
	b := newBench(t, chain(2))
	b.acts(func(context.Context, call.Call, string, host.Sink) (string, error) { panic("boom") })
	state := b.wantClosed(kernel.Failed)
	if view, _ := state.Node("stage.s0"); !strings.Contains(view.Why, "Internal error: boom") {
		t.Errorf("the stage failed with %q", view.Why)
	}
}

func TestUnwindingPostedWhileNobodyDrivesIsHeardFirst(t *testing.T) {
	b := newBench(t, chain(2))
	b.acts(func(context.Context, call.Call, string, host.Sink) (string, error) {
		t.Error("a stage ran although the run was to be taken back")
		return "", nil
	})
	if err := Send(t.Context(), b.store, b.rec.ID, time.Now(), Post{Unwind: &kernel.RunUnwinding{By: "bob"}}); err != nil {
		t.Fatal(err)
	}
	b.wantClosed(kernel.Cancelled)
}
