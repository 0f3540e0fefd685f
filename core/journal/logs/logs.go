// Package logs keeps the log lines of a run's commands beside its journal, in
// compressed chunks. A Writer per command batches lines; Read gives them back.
package logs

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/store"
)

const (
	format = 1
	// maxChunk is the most that a chunk may unpack to: a full buffer, one more line,
	// and their escapes.
	maxChunk = 4 << 20
)

// Line is one line of log.
type Line struct {
	Time time.Time `json:"t"`
	// Level as log/slog counts: -4 debug, 0 info, 4 warn, 8 error.
	Level int `json:"l,omitempty"`
	// Stream is stdout or stderr for the output of a child program; else empty.
	Stream  string            `json:"s,omitempty"`
	Message string            `json:"m"`
	Attrs   map[string]string `json:"a,omitempty"`
}

// Ref names everything that one writer wrote; it is small and goes into a fact.
type Ref struct {
	// First is the number of the first chunk.
	First  int `json:"first,omitempty"`
	Chunks int `json:"chunks"`
	Lines  int `json:"lines"`
	// Dropped counts lines that could not be kept while the store was away.
	Dropped int `json:"dropped,omitempty"`
	// Digest is over all chunks in order; empty without chunks.
	Digest string `json:"digest,omitempty"`
}

// add notes a chunk that was stored.
func (r *Ref) add(number, lines int, hash string) {
	if r.Chunks == 0 {
		r.First = number
	}
	r.Chunks++
	r.Lines += lines
	sum := sha256.Sum256([]byte(r.Digest + hash))
	r.Digest = hex.EncodeToString(sum[:])
}

// chunkHead is the first line of a chunk, before the compressed lines.
type chunkHead struct {
	Format  int    `json:"format"`
	Run     string `json:"run"`
	Command string `json:"command"`
	Chunk   int    `json:"chunk"`
	Lines   int    `json:"lines"`
}

func runPrefix(run string) string { return "runs/" + run + "/logs/" }

func prefix(run, command string) string { return runPrefix(run) + url.PathEscape(command) + "/" }

func key(run, command string, n int) string { return fmt.Sprintf("%s%06d", prefix(run, command), n) }

// A compressor holds more than half a megabyte, so that they are shared.
var compressors = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(io.Discard, flate.BestSpeed) // the level is a valid one
	return w
}}

// encodeChunk packs lines of JSON.
func encodeChunk(head chunkHead, raw []byte) (value []byte, hash string) {
	head.Format = format
	first, _ := json.Marshal(head) // numbers and strings cannot fail
	buf := bytes.NewBuffer(append(append(frame.New(len(first)+len(raw)/4), first...), '\n'))
	w := compressors.Get().(*flate.Writer)
	w.Reset(buf)
	_, _ = w.Write(raw) // a buffer cannot fail
	_ = w.Close()
	compressors.Put(w)
	value = buf.Bytes()
	return value, frame.Close(value)
}

// decodeChunk unpacks the lines of JSON.
func decodeChunk(run, command string, it store.Item) (raw []byte, hash string, err error) {
	damaged := func(what string) error {
		return &journal.DamageError{Run: run, Key: it.Key, What: what}
	}
	content, hash, err := frame.Open(it.Value)
	if err != nil {
		return nil, "", damaged(err.Error())
	}
	first, packed, _ := bytes.Cut(content, []byte("\n"))
	var head chunkHead
	if err := json.Unmarshal(first, &head); err != nil {
		return nil, "", damaged("is not in the form of a log chunk: " + err.Error())
	}
	if head.Format > format {
		return nil, "", fmt.Errorf("log of run %s: %s was %w: it has format %d, this runner knows up to %d", run, it.Key, journal.ErrNewer, head.Format, format)
	}
	if it.Key != key(head.Run, head.Command, head.Chunk) {
		return nil, "", damaged(fmt.Sprintf("is chunk %d of command %s of run %s", head.Chunk, head.Command, head.Run))
	}
	raw, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxChunk+1))
	if err != nil || len(raw) > maxChunk {
		return nil, "", damaged("cannot be unpacked")
	}
	return raw, hash, nil
}

// Read yields the lines of a command in the order of writing. A chunk that is
// damaged or missing is a *journal.DamageError; the chunks after it follow. Whether the
// last ones are there, only Verify can tell.
func Read(ctx context.Context, s store.Store, run, command string) iter.Seq2[Line, error] {
	return NewCursor(run, command).Next(ctx, s)
}

// Cursor reads the log of a command bit by bit, while it is written.
type Cursor struct {
	run, command string
	// last is the key of the last chunk that was read.
	last string
	// next is the number of the chunk that comes after it.
	next int
}

// NewCursor is before the first line.
func NewCursor(run, command string) *Cursor { return &Cursor{run: run, command: command} }

// Next yields the lines that were stored since the last call, as Read does.
func (c *Cursor) Next(ctx context.Context, s store.Store) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		for it, err := range store.Scan(ctx, s, prefix(c.run, c.command), c.last) {
			var raw []byte
			if due := key(c.run, c.command, c.next); err == nil && it.Key != due {
				missing := &journal.DamageError{Run: c.run, Key: due, What: "is missing; the next one found is " + it.Key}
				if !yield(Line{}, missing) {
					return
				}
				if n, err := strconv.Atoi(strings.TrimPrefix(it.Key, prefix(c.run, c.command))); err == nil {
					c.next = n
				}
			}
			if err == nil {
				c.last = it.Key
				c.next++
				raw, _, err = decodeChunk(c.run, c.command, it)
			}
			if err != nil && !yield(Line{}, err) {
				return
			}
			for text := range bytes.Lines(raw) {
				var l Line
				if err := json.Unmarshal(text, &l); err != nil {
					err = &journal.DamageError{Run: c.run, Key: it.Key, What: "holds a line that cannot be read: " + err.Error()}
					if !yield(Line{}, err) {
						return
					}
					continue
				}
				if !yield(l, nil) {
					return
				}
			}
		}
	}
}

// Verify checks that what is stored is what ref named.
func Verify(ctx context.Context, s store.Store, run, command string, ref Ref) error {
	var seen Ref
	for n := ref.First; n < ref.First+ref.Chunks; n++ {
		k := key(run, command, n)
		it, err := s.Get(ctx, k)
		if errors.Is(err, store.ErrNotFound) {
			return &journal.DamageError{Run: run, Key: k, What: "is missing, though it was written"}
		}
		if err != nil {
			return fmt.Errorf("read log of run %s: %w", run, err)
		}
		_, hash, err := decodeChunk(run, command, it)
		if err != nil {
			return err
		}
		seen.add(n, 0, hash)
	}
	if seen.Digest != ref.Digest {
		return &journal.DamageError{Run: run, Key: prefix(run, command), What: "has other chunks than were written"}
	}
	return nil
}

// Commands lists the commands of a run that have logs, in no particular order.
func Commands(ctx context.Context, s store.Store, run string) ([]string, error) {
	var out []string
	after := ""
	for {
		items, err := s.List(ctx, runPrefix(run), after, 1)
		if err != nil {
			return nil, fmt.Errorf("list logs of run %s: %w", run, err)
		}
		if len(items) == 0 {
			return out, nil
		}
		escaped, _, _ := strings.Cut(strings.TrimPrefix(items[0].Key, runPrefix(run)), "/")
		command, err := url.PathUnescape(escaped)
		if err != nil {
			return nil, &journal.DamageError{Run: run, Key: items[0].Key, What: "is not the name of a log chunk"}
		}
		out = append(out, command)
		// Behind all keys of this command: '0' follows '/'.
		after = runPrefix(run) + escaped + "0"
	}
}
