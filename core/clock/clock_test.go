package clock_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/clock"
)

// wall is a clock on the wall that can be set.
type wall struct{ off time.Duration }

func (w *wall) now() time.Time { return time.Now().Add(w.off) }

func TestLook(t *testing.T) {
	type seen struct{ Since, Unseen, Ahead time.Duration }
	// Each step lets time pass and then moves the wall.
	type step struct{ pass, jump time.Duration }
	for name, tc := range map[string]struct {
		steps []step
		want  []seen
	}{
		"nothing strange":                          {[]step{{5 * time.Second, 0}, {time.Minute, 0}}, []seen{{5 * time.Second, 0, 0}, {65 * time.Second, 0, 0}}},
		"a clock that is a little fast":            {[]step{{5 * time.Second, time.Second}}, []seen{{6 * time.Second, 0, 0}}},
		"a clock that is a little slow":            {[]step{{5 * time.Second, -time.Second}}, []seen{{4 * time.Second, 0, 0}}},
		"a little back never goes back":            {[]step{{time.Second, -2 * time.Second}}, []seen{{0, 0, 0}}},
		"an hour forward":                          {[]step{{5 * time.Second, time.Hour}, {5 * time.Second, 0}}, []seen{{time.Hour + 5*time.Second, time.Hour, 0}, {time.Hour + 10*time.Second, 0, 0}}},
		"an hour back goes on":                     {[]step{{5 * time.Second, -time.Hour}, {5 * time.Second, 0}}, []seen{{5 * time.Second, 0, time.Hour}, {10 * time.Second, 0, time.Hour}}},
		"back and forward again is no jump":        {[]step{{5 * time.Second, -time.Hour}, {5 * time.Second, time.Hour}}, []seen{{5 * time.Second, 0, time.Hour}, {10 * time.Second, 0, 0}}},
		"back and further forward":                 {[]step{{0, -time.Hour}, {0, 3 * time.Hour}}, []seen{{0, 0, time.Hour}, {2 * time.Hour, 2 * time.Hour, 0}}},
		"back twice":                               {[]step{{0, -time.Hour}, {0, -time.Hour}}, []seen{{0, 0, time.Hour}, {0, 0, 2 * time.Hour}}},
		"stopped by a signal, the clocks going on": {[]step{{time.Hour, 0}}, []seen{{time.Hour, time.Hour, 0}}},
		"asleep while the clocks go on, set back":  {[]step{{time.Hour, -30 * time.Minute}}, []seen{{time.Hour, time.Hour, 30 * time.Minute}}},
		"stopped for an hour, and a jump of two":   {[]step{{time.Hour, 2 * time.Hour}}, []seen{{3 * time.Hour, 3 * time.Hour, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wall{}
				c, began := clock.New(w.now, time.Time{}), time.Now()
				var got []seen
				for _, s := range tc.steps {
					time.Sleep(s.pass)
					w.off += s.jump
					now, unseen := c.Look()
					if now != c.Now() {
						t.Errorf("Now is %v, the last look said %v", c.Now(), now)
					}
					got = append(got, seen{now.Sub(began), unseen, c.Ahead()})
				}
				if d := cmp.Diff(tc.want, got); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
			})
		})
	}
}

// What lies between a run's last fact and its next process was not seen.
func TestPast(t *testing.T) {
	for name, tc := range map[string]struct{ since, unseen, ahead time.Duration }{
		"at once":            {},
		"a moment later":     {since: time.Second},
		"days later":         {since: 72 * time.Hour, unseen: 72 * time.Hour},
		"the clock set back": {since: -time.Hour, ahead: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				past := time.Now().Add(-tc.since)
				c := clock.New(nil, past)
				now, unseen := c.Look()
				if unseen != tc.unseen || c.Ahead() != tc.ahead || now.Before(past) {
					t.Errorf("now %v after the past, unseen %v, ahead %v; want %+v", now.Sub(past), unseen, c.Ahead(), tc)
				}
			})
		})
	}
}

// Whatever the wall does: the run's time never goes back, goes on at least as
// fast as time does, and what was not unseen is what has passed.
func TestEveryWall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(200) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			w := &wall{}
			c, last := clock.New(w.now, time.Time{}), time.Now()
			for range 100 {
				pass := time.Duration(rnd.Int64N(int64(clock.Stall)))
				time.Sleep(pass)
				if rnd.IntN(3) == 0 {
					w.off += time.Duration(rnd.Int64N(int64(10*time.Hour)) - int64(5*time.Hour))
				}
				now, unseen := c.Look()
				if watched := now.Sub(last) - unseen; watched < pass-clock.Tolerance || watched > pass+clock.Tolerance {
					t.Fatalf("seed %d: %v passed, the run's time says %v, %v of it unseen", seed, pass, now.Sub(last), unseen)
				}
				if now.Before(last) || c.Ahead() < 0 {
					t.Fatalf("seed %d: from %v to %v, ahead %v", seed, last, now, c.Ahead())
				}
				last = now
			}
		}
	})
}
