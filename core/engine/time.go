package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
)

const (
	// beat is how often the clock is looked at, at least.
	beat = 5 * time.Second
	// deaf is how long a gate's time is stretched while the inbox cannot be read.
	deaf = kernel.Time(1000)
)

// await blocks until something happens and returns all that has.
func (e *Engine) await(ctx context.Context) []message {
	batch := e.held
	e.held = nil
	wait := e.untilTimer()
	if len(batch) > 0 {
		wait = 0
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	done := ctx.Done()
	if e.stopping {
		done = nil
	}
	select {
	case m := <-e.results:
		batch = append(batch, m)
	case <-timer.C:
	case mode, ok := <-e.Stop:
		if !ok {
			e.Stop = nil
			break
		}
		batch = append(batch, message{fact: kernel.RunStopping{Mode: mode, By: bySignal}})
	case <-done:
		e.stopping = true
		batch = append(batch, message{fact: kernel.RunStopping{Mode: kernel.StopNow, By: bySignal}})
	case posted := <-e.inbox:
		batch = e.heard(batch, posted)
	}
	for more := true; more; {
		select {
		case m := <-e.results:
			batch = append(batch, m)
		default:
			more = false
		}
	}
	now, unwatched := e.tick()
	if unwatched > 0 {
		// It comes before whatever else is to be decided, and moves timers.
		return slices.Insert(batch, 0, message{fact: kernel.RunUnwatched{Span: unwatched}})
	}
	for _, id := range e.due(now) {
		if !ofGate(id) {
			batch = append(batch, message{fact: kernel.TimerFired{ID: id}})
		}
	}
	return batch
}

// heard adds what was posted. An answer that was given after the gate's time was
// up becomes a remark, however late that is noticed.
func (e *Engine) heard(batch []message, posted []inboxFact) []message {
	for _, p := range posted {
		fact := p.fact
		if a, ok := fact.(kernel.GateAnswered); ok {
			if up := e.State.Expires(a.Node, a.Gate); up != 0 && p.at.Add(e.clock.Ahead()).After(up.Time()) {
				fact = kernel.Noted{Node: a.Node, By: "runner", Text: fmt.Sprintf("the answer of %s to %q came after the time for it was up", a.Who, a.Gate)}
			}
		}
		batch = append(batch, message{fact: fact, durable: p.durable})
	}
	return batch
}

// expire tells of gates whose time is up. What people said in time is heard
// first, also when this process has been away; while that cannot be read, the
// gates stay open.
func (e *Engine) expire(ctx context.Context) error {
	now := e.time()
	due := slices.DeleteFunc(e.due(now), func(id string) bool { return !ofGate(id) })
	if len(due) == 0 || now < e.deafUntil || e.away != nil {
		return nil
	}
	posted, err := e.readInbox(ctx)
	if err != nil {
		e.Slog.Warn("inbox not read, gates stay open", "error", err)
		e.deafUntil = now + deaf
		return nil
	}
	batch := e.heard(nil, posted)
	for _, id := range due {
		batch = append(batch, message{fact: kernel.TimerFired{ID: id}})
	}
	if err := e.advance(ctx, batch); err != nil {
		return err
	}
	e.ack(ctx, posted)
	return nil
}

func ofGate(timer string) bool { return strings.HasPrefix(timer, "gate\x1f") }

// due lists the timers whose moment has come, in a fixed order.
func (e *Engine) due(now kernel.Time) []string {
	var ids []string
	for id, at := range e.State.Timers() {
		if at <= now {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// untilTimer is the span until the next timer, or until the next look at the clock.
func (e *Engine) untilTimer() time.Duration {
	now := e.time()
	next := now + kernel.Time(beat/time.Millisecond)
	for id, at := range e.State.Timers() {
		if ofGate(id) {
			at = max(at, e.deafUntil)
		}
		next = min(next, at)
	}
	// The clock was looked at when it stood within this millisecond.
	return time.Duration(max(0, next-now)) * time.Millisecond
}

// tick reads the clock, and says how much of the time since the last tick nobody
// watched.
func (e *Engine) tick() (now, unwatched kernel.Time) {
	t, unseen := e.clock.Look()
	e.last = kernel.TimeOf(t)
	return e.last, kernel.Time(unseen.Milliseconds())
}

// time is that of the last tick. It never goes back, whatever the clock does.
func (e *Engine) time() kernel.Time { return e.last }
