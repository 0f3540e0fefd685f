package control

import (
	"sync"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/service"
)

// mindEvery is how often a minded service is looked after.
const mindEvery = 50 * time.Millisecond

// Minder looks after services as long as this process lives. Keeper and front of
// a service bring each other back; when both were killed nobody is left to do so,
// and the service would stay closed until the next operation. The zero value is
// ready; a nil one minds nothing.
type Minder struct {
	mu     sync.Mutex
	minded map[service.Dir]bool
}

// Mind begins to look after the service in the folder, which need not exist yet.
// Doing so again changes nothing. A service that was ended in an orderly way stays so.
func (m *Minder) Mind(dir service.Dir) {
	if m == nil || !Supported {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.minded[dir] {
		return
	}
	if m.minded == nil {
		m.minded = map[service.Dir]bool{}
	}
	m.minded[dir] = true
	go func() {
		c := NewClient(dir)
		for {
			time.Sleep(mindEvery)
			if c.forsaken() {
				c.bringBack()
			}
		}
	}()
}

// forsaken reports whether keeper and front have both died. A keeper that ends when
// it is told to takes its name out of the state before, so that is read again after
// it was seen to be gone.
func (c *Client) forsaken() bool {
	before, err := c.dir.Load()
	if err != nil || before.Keeper.PID == 0 || before.Keeper.Alive() || before.Front.Alive() {
		return false
	}
	now, err := c.dir.Load()
	return err == nil && now.Keeper == before.Keeper && now.Front == before.Front
}

// bringBack starts a keeper and waits until it has written itself down, or has
// ended. Why it ended is in its log; the next turn comes soon.
func (c *Client) bringBack() {
	ended, err := c.launch()
	if err != nil {
		return
	}
	for c.forsaken() {
		select {
		case <-ended: //nolint:errcheck // its log says why
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}
