// Package clock gives a run its time. It is the engine's: the kernel knows no
// clock, and its time is that of the latest fact.
//
// A run's time never goes back and never stands still. It follows the clock on
// the wall, since people read it, but for two things: where the wall clock is set
// back, the run's time goes on from where it was, ahead of the wall; and where
// time has passed that this process has not seen, because the machine slept, the
// process was stopped or the clock was set forward, Look says how much.
//
// Spans are not measured here. Timers and contexts of the standard library go by
// the monotonic clock, so that they need no other; tests give them a virtual one
// with testing/synctest, and make the wall jump with the function given to New.
package clock

import "time"

const (
	// Tolerance is how far the wall may move against the monotonic clock between
	// two looks without being said to have jumped.
	Tolerance = 2 * time.Second
	// Stall is how long after a look the next one may come: what lies between
	// later ones was not seen. It is for systems whose monotonic clock goes on
	// while the machine sleeps, and for a process that was stopped by a signal.
	Stall = time.Minute
)

// Clock is not safe for use by more than one goroutine.
type Clock struct {
	wall func() time.Time
	// began has a monotonic reading; ran is since then, as of the last look.
	began time.Time
	ran   time.Duration
	now   time.Time
	ahead time.Duration
}

// New begins where a run has left off; the zero time for a run that is new. Wall
// is what the clock on the wall says; time.Now when nil.
func New(wall func() time.Time, past time.Time) *Clock {
	if wall == nil {
		wall = time.Now
	}
	c := &Clock{wall: wall, began: time.Now(), now: past}
	if past.IsZero() {
		c.now = c.read()
	}
	return c
}

// read leaves out the monotonic reading, which would hide every jump.
func (c *Clock) read() time.Time { return c.wall().UTC().Round(0) }

// Look says what time it is, and how much of the time since the last look, or
// since the past that New was given, was not seen. It is to be called more often
// than Stall.
func (c *Clock) Look() (now time.Time, unseen time.Duration) {
	ran := time.Since(c.began)
	passed := ran - c.ran
	c.ran = ran
	then, expected := c.now, c.now.Add(passed)
	drift := c.read().Add(c.ahead).Sub(expected)
	if drift > Tolerance {
		// A clock that was set back and comes forward again is no jump.
		back := min(drift, c.ahead)
		c.ahead -= back
		drift -= back
	}
	switch {
	case drift < -Tolerance:
		c.ahead -= drift
		c.now = expected
	default:
		if c.now = expected.Add(drift); c.now.Before(then) {
			c.now = then
		}
	}
	if passed > Stall {
		return c.now, c.now.Sub(then)
	}
	if drift > Tolerance {
		return c.now, drift
	}
	return c.now, 0
}

// Now is what the last Look said.
func (c *Clock) Now() time.Time { return c.now }

// Ahead is how far the run's time is before the wall: what others know by the
// wall is found at the run's time less this.
func (c *Clock) Ahead() time.Duration { return c.ahead }
