package engine

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/host"
)

// sink takes what happens during one call: log lines, redacted, beside the
// journal and to who watches, and early handles into the journal.
type sink struct {
	e      *Engine
	job    job
	writer *logs.Writer
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
		line.Attrs[k] = s.e.redact(v)
	}
	s.write(line)
}

func (s *sink) write(line logs.Line) {
	// Nobody waits for a store that does not answer.
	if !s.e.isAway.Load() {
		if s.writer == nil {
			s.writer = logs.NewWriter(s.e.Store, s.e.Config.Run.ID, strconv.FormatInt(s.job.ID, 10))
		}
		s.writer.Write(line)
	}
	s.e.logLine(s.job.Command, line)
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
	s.e.results <- message{fact: kernel.CommandHandled{Command: s.job.ID, ID: s.e.redact(h.ID), Opaque: h.Opaque}, durable: durable}
	return <-durable
}

// close stores what is left and names it for the fact that ends the command.
func (s *sink) close() string {
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
