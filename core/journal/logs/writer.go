package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/core/store"
)

const (
	// Lines are stored when this much has come together, or flushAfter the first.
	chunkSize  = 64 << 10
	flushAfter = time.Second
	// maxBacklog is what is kept while the store fails.
	maxBacklog = 1 << 20
	// What is kept of one line: its message, and so many attributes.
	maxMessage   = 64 << 10
	maxAttrs     = 64
	maxAttrKey   = 256
	maxAttrValue = 4 << 10
	// storeTimeout limits one write to the store.
	storeTimeout = 10 * time.Second
)

// Writer takes the lines of one command. Lines are stored once 64 KiB have
// come together, or a second after the first one. While the store is slow Write
// waits; while it fails, the oldest lines are dropped beyond 1 MiB and counted.
// Its methods may be called at the same time.
type Writer struct {
	store        store.Store
	run, command string

	// storing is held while chunks are stored, one at a time; it guards next.
	storing sync.Mutex
	next    int

	mu      sync.Mutex
	ref     Ref
	open    batch   // taking lines
	backlog []batch // waiting for the store, oldest first
	kept    int     // bytes in backlog
	dropped int     // lines, since the last note of it
	failing bool    // the last write failed: leave the next one to the timer
	timer   *time.Timer
	closed  bool
}

// batch is the lines of one chunk.
type batch struct {
	raw   []byte
	lines int
}

// NewWriter begins the log of a command. An earlier incarnation's chunks of the
// same command are kept; new ones are numbered after them.
func NewWriter(s store.Store, run, command string) *Writer {
	return &Writer{store: s, run: run, command: command}
}

// Write adds a line. What is beyond 64 KiB of a message, 4 KiB of an attribute, or
// 64 attributes is cut off, and said so. After Close it does nothing.
func (w *Writer) Write(l Line) {
	text := encodeLine(l)
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.open.raw = append(w.open.raw, text...)
	w.open.lines++
	w.startTimer()
	full := len(w.open.raw) >= chunkSize
	wait := full && !w.failing
	if full && w.failing {
		w.seal()
	}
	w.mu.Unlock()
	if wait {
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		_ = w.flush(ctx, chunkSize) // counted as dropped when it stays so
	}
}

// encodeLine is the line as JSON, cut to the limits, with a line break.
func encodeLine(l Line) []byte {
	l.Message = cut(l.Message, maxMessage)
	if l.Attrs != nil {
		attrs := make(map[string]string, min(len(l.Attrs), maxAttrs))
		for i, name := range slices.Sorted(maps.Keys(l.Attrs)) {
			if i == maxAttrs-1 && len(l.Attrs) > maxAttrs {
				attrs["…"] = fmt.Sprintf("(%d attributes more)", len(l.Attrs)-i)
				break
			}
			attrs[cut(name, maxAttrKey)] = cut(l.Attrs[name], maxAttrValue)
		}
		l.Attrs = attrs
	}
	text, err := json.Marshal(l)
	if err != nil { // a time outside the years 0 to 9999
		l.Time = time.Time{}
		text, _ = json.Marshal(l)
	}
	return append(text, '\n')
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes more)", strings.ToValidUTF8(s[:limit], ""), len(s)-limit)
}

// startTimer makes sure that lines are stored in a while. Call with mu held.
func (w *Writer) startTimer() {
	if w.timer != nil {
		return
	}
	w.timer = time.AfterFunc(flushAfter, func() {
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		_ = w.flush(ctx, 0)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timer = nil
		if !w.closed && (w.open.lines > 0 || len(w.backlog) > 0) {
			w.startTimer()
		}
	})
}

// seal moves the open lines to the backlog and keeps that within bounds. Call with
// mu held.
func (w *Writer) seal() {
	if w.open.lines == 0 {
		return
	}
	w.backlog = append(w.backlog, w.open)
	w.kept += len(w.open.raw)
	w.open = batch{}
	for w.kept > maxBacklog && len(w.backlog) > 1 {
		old := w.backlog[0]
		w.backlog[0] = batch{}
		w.backlog = w.backlog[1:]
		w.kept -= len(old.raw)
		w.dropped += old.lines
		w.ref.Dropped += old.lines
	}
}

// flush stores everything when at least atLeast bytes are waiting.
func (w *Writer) flush(ctx context.Context, atLeast int) error {
	w.storing.Lock()
	defer w.storing.Unlock()
	w.mu.Lock()
	if w.kept+len(w.open.raw) < atLeast {
		w.mu.Unlock()
		return nil
	}
	w.seal()
	w.mu.Unlock()
	for {
		w.mu.Lock()
		if len(w.backlog) == 0 {
			w.failing = false
			w.mu.Unlock()
			return nil
		}
		b := w.backlog[0]
		w.backlog = w.backlog[1:]
		w.kept -= len(b.raw)
		dropped := w.dropped
		w.mu.Unlock()

		number, hash, err := w.put(ctx, b, dropped)

		w.mu.Lock()
		if err != nil {
			w.failing = true
			w.backlog = append([]batch{b}, w.backlog...)
			w.kept += len(b.raw)
			w.mu.Unlock()
			return fmt.Errorf("store log of run %s: %w", w.run, err)
		}
		w.dropped -= dropped
		w.ref.add(number, b.lines, hash)
		w.mu.Unlock()
	}
}

// put stores one chunk under the next free number. Lines that were dropped
// before it are mentioned in it.
func (w *Writer) put(ctx context.Context, b batch, dropped int) (number int, hash string, err error) {
	raw := b.raw
	if dropped > 0 {
		note := Line{Level: 4, Message: fmt.Sprintf("%d lines are missing here: the state could not be written", dropped)}
		raw = append(encodeLine(note), raw...)
	}
	for ; ; w.next++ {
		value, hash := encodeChunk(chunkHead{Run: w.run, Command: w.command, Chunk: w.next, Lines: b.lines}, raw)
		k := key(w.run, w.command, w.next)
		_, err := w.store.PutAbsent(ctx, k, value)
		if errors.Is(err, store.ErrConflict) {
			// An earlier incarnation's chunk, or this one, of which the store had not told.
			it, err := w.store.Get(ctx, k)
			if err != nil {
				return 0, "", err
			}
			if string(it.Value) != string(value) {
				continue
			}
		} else if err != nil {
			return 0, "", err
		}
		w.next++
		return w.next - 1, hash, nil
	}
}

// Close stores what is left and says what was written; what could not be
// stored counts as dropped. It may be called again.
func (w *Writer) Close(ctx context.Context) (Ref, error) {
	w.mu.Lock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	err := w.flush(ctx, 0)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.backlog {
		w.ref.Dropped += b.lines
	}
	w.backlog, w.kept = nil, 0
	return w.ref, err
}
