package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/host"
)

const (
	// maxLog is how much of one command's log is shown and kept, in bytes before
	// compression, and maxTail how much of its end when there is more.
	maxLog  = 32 << 20
	maxTail = 256 << 10
	// lineCost is counted for a line beside its text.
	lineCost = 64
)

// sink takes what happens during one call: log lines, redacted, beside the
// journal and to who watches, and early handles into the journal.
type sink struct {
	e      *Engine
	job    job
	writer *logs.Writer
	kept   int
	tail   tail
}

func (e *Engine) newSink(j job) *sink { return &sink{e: e, job: j} }

var _ host.Sink = (*sink)(nil)

// Log implements host.Sink.
func (s *sink) Log(l host.Line) {
	line := logs.Line{Time: l.Time, Level: int(l.Level), Stream: l.Stream, Message: s.e.redact(l.Message)}
	for k, v := range l.Attrs {
		if line.Attrs == nil {
			line.Attrs = make(map[string]string, len(l.Attrs))
		}
		line.Attrs[s.e.redact(k)] = s.e.redact(v)
	}
	s.write(line)
}

// write keeps a line as long as there is room, and then only the last ones.
func (s *sink) write(line logs.Line) {
	n := costOf(line)
	if s.kept += n; s.kept <= maxLog {
		s.store(line)
		return
	}
	if s.kept-n <= maxLog {
		s.store(logs.Line{Time: s.e.now(), Level: 4, Message: fmt.Sprintf("this operation has logged %d MiB; of what follows only the end is kept", maxLog>>20)})
	}
	s.tail.add(line, n)
}

func (s *sink) store(line logs.Line) {
	// Nobody waits for a store that does not answer.
	if !s.e.isAway.Load() {
		if s.writer == nil {
			s.writer = logs.NewWriter(s.e.Store, s.e.Config.Run.ID, strconv.FormatInt(s.job.ID, 10))
		}
		s.writer.Write(line)
	}
	s.e.logLine(s.job.Command, line)
}

func costOf(l logs.Line) int {
	n := lineCost + len(l.Message)
	for k, v := range l.Attrs {
		n += len(k) + len(v)
	}
	return n
}

// tail is the last lines of a log, up to maxTail bytes.
type tail struct {
	lines   []logs.Line
	size    int
	dropped int
}

func (t *tail) add(l logs.Line, cost int) {
	t.lines = append(t.lines, l)
	t.size += cost
	for t.size > maxTail && len(t.lines) > 1 {
		t.size -= costOf(t.lines[0])
		t.lines[0] = logs.Line{}
		t.lines = t.lines[1:]
		t.dropped++
	}
}

// Progress implements host.Sink.
func (s *sink) Progress(percent int, message string) {
	line := logs.Line{Time: s.e.now(), Message: s.e.redact(message), Attrs: map[string]string{}}
	if percent >= 0 {
		line.Attrs["percent"] = strconv.Itoa(percent)
	}
	s.write(line)
}

// Handle implements host.Sink: it returns once the handle is in the journal.
func (s *sink) Handle(h call.Handle) error {
	durable := make(chan error, 1)
	s.e.results <- message{fact: s.e.handled(s.job, h), durable: durable}
	return <-durable
}

// close stores what is left and names it for the fact that ends the command.
func (s *sink) close() string {
	if s.tail.dropped > 0 {
		s.store(logs.Line{Time: s.e.now(), Level: 4, Message: fmt.Sprintf("%d lines are left out here", s.tail.dropped)})
	}
	for _, l := range s.tail.lines {
		s.store(l)
	}
	if s.writer == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ref, err := s.writer.Close(ctx)
	if err != nil {
		s.e.Slog.Warn("log not stored", "command", s.job.ID, "error", err)
	}
	b, err := json.Marshal(ref)
	if err != nil {
		return ""
	}
	return string(b)
}

func (e *Engine) logLine(c kernel.Command, l logs.Line) {
	e.logMu.Lock()
	defer e.logMu.Unlock()
	e.Log(c, l)
}
