package command

import (
	"fmt"
	"io"
	"sync"
)

// outputLimit bounds what waits for a reader that has stopped reading.
const outputLimit = 4 << 20

// Output is a standard output that a run does not depend on. It writes through
// until Detach; from then on nobody waits for the reader, and a reader that has
// gone is no error. Its methods may be called at the same time.
type Output struct {
	out io.Writer
	// gone is told once why nothing can be written any more.
	gone func(error)

	mu       sync.Mutex
	changed  *sync.Cond
	detached bool
	queue    [][]byte
	waiting  int
	dropped  int
	err      error
}

// NewOutput writes to out; gone is called when a detached output has no reader.
func NewOutput(out io.Writer, gone func(error)) *Output {
	o := &Output{out: out, gone: gone}
	o.changed = sync.NewCond(&o.mu)
	return o
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.detached {
		return o.out.Write(p)
	}
	switch {
	case o.err != nil:
	case o.waiting+len(p) > outputLimit:
		o.dropped++
	default:
		o.tellDropped()
		o.push(append([]byte(nil), p...))
	}
	return len(p), nil
}

func (o *Output) push(p []byte) {
	o.queue = append(o.queue, p)
	o.waiting += len(p)
	o.changed.Broadcast()
}

// Detach lets writes return at once, from now on. The function that it returns
// waits until the reader has all, or is gone.
func (o *Output) Detach() (flush func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.detached {
		o.detached = true
		go o.drain()
	}
	return o.flush
}

func (o *Output) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for len(o.queue) == 0 {
			o.changed.Wait()
		}
		next := o.queue[0]
		o.mu.Unlock()
		_, err := o.out.Write(next)
		o.mu.Lock()
		o.queue = o.queue[1:]
		o.waiting -= len(next)
		if err != nil {
			o.err, o.queue, o.waiting = err, nil, 0
		}
		o.changed.Broadcast()
		if err != nil {
			o.mu.Unlock()
			o.gone(err)
			o.mu.Lock()
			return
		}
	}
}

func (o *Output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tellDropped()
	for len(o.queue) > 0 {
		o.changed.Wait()
	}
}

// tellDropped says where lines are missing. Call with mu held.
func (o *Output) tellDropped() {
	if o.dropped > 0 && o.err == nil {
		o.push(fmt.Appendf(nil, "(%d lines were left out here: nobody read them)\n", o.dropped))
		o.dropped = 0
	}
}
