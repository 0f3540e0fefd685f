package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/handshake"
	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/schema"
)

// MaxLine is the largest log line in bytes; what is beyond is cut off.
const MaxLine = 64 << 10

// stream sends the events of one operation. After the outcome it is silent: a
// goroutine that the component left behind may go on logging.
type stream struct {
	mu     sync.Mutex
	send   func(*pluginpb.Event) error
	closed bool
}

var errClosed = errors.New("the operation has ended")

// put blocks while the host does not read, so nothing is buffered here.
func (s *stream) put(e *pluginpb.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	return s.send(e)
}

// end sends the outcome; nothing follows it.
func (s *stream) end(o *pluginpb.Outcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.send(&pluginpb.Event{Event: &pluginpb.Event_Outcome{Outcome: o}})
}

func (s *stream) Progress(percent int, message string) {
	_ = s.put(&pluginpb.Event{Event: &pluginpb.Event_Progress{Progress: &pluginpb.Progress{Percent: int32(min(max(percent, -1), 100)), Message: cut(message)}}})
}

func (s *stream) Output(from, line string) {
	s.log(wire.LogToPB(time.Now(), slog.LevelInfo, cut(line), nil, from))
}

func (s *stream) Handle(h call.Handle) error {
	return s.put(&pluginpb.Event{Event: &pluginpb.Event_Handle{Handle: wire.HandleToPB(&h)}})
}

func (s *stream) log(l *pluginpb.Log) { _ = s.put(&pluginpb.Event{Event: &pluginpb.Event_Log{Log: l}}) }

// cut shortens a line that is too long, and makes it valid text.
func cut(line string) string {
	if len(line) > MaxLine {
		end := MaxLine
		for end > 0 && !utf8.RuneStart(line[end]) {
			end--
		}
		line = fmt.Sprintf("%s… (%d bytes left out)", line[:end], len(line)-end)
	}
	return strings.ToValidUTF8(line, "\uFFFD")
}

// logHandler is the slog.Handler behind a request's Log.
type logHandler struct {
	to     *stream
	prefix string
	attrs  []slog.Attr
}

func (h *logHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelDebug }

func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	var attrs map[string]string
	if n := len(h.attrs) + r.NumAttrs(); n > 0 {
		attrs = make(map[string]string, n)
		for _, a := range h.attrs {
			flatten(attrs, "", a)
		}
		r.Attrs(func(a slog.Attr) bool {
			flatten(attrs, h.prefix, a)
			return true
		})
	}
	h.to.log(wire.LogToPB(r.Time, r.Level, cut(r.Message), attrs, ""))
	return nil
}

func flatten(into map[string]string, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			flatten(into, prefix, inner)
		}
		return
	}
	if a.Key != "" {
		into[strings.ToValidUTF8(prefix+a.Key, "\uFFFD")] = cut(v.String())
	}
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *h
	out.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		a.Key = h.prefix + a.Key
		out.attrs = append(out.attrs, a)
	}
	return &out
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	out := *h
	out.prefix += name + "."
	return &out
}

// operation is one streamed call: f does the work and gives the outcome.
func (s *Server) operation(ctx context.Context, pb *pluginpb.Call, name string, send func(*pluginpb.Event) error, f func(context.Context, call.Request) (*pluginpb.Outcome, error)) error {
	c := wire.CallFromPB(pb)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !c.Deadline.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, c.Deadline)
		defer stop()
	}
	defer s.track(c.Key, cancel)()
	out := &stream{send: send}
	log := slog.New(&logHandler{to: out})
	outcome, err := guarded(name, log, func() (*pluginpb.Outcome, error) {
		return f(ctx, call.Request{Call: c, Log: log, Events: out})
	})
	if r, ok := refused(err); ok {
		return r
	}
	if err == nil && proto.Size(outcome) > handshake.MaxMessage-1<<20 {
		err = diag.WithEffect(diag.Done, diag.New("Result too large", "The result of %s has %d bytes; the host takes at most %d.", name, proto.Size(outcome), handshake.MaxMessage-1<<20))
	}
	if err != nil {
		outcome = &pluginpb.Outcome{Outcome: &pluginpb.Outcome_Failure{Failure: wire.FailureToPB(problem(ctx, err))}}
	}
	return out.end(outcome)
}

// guarded turns a panic into an error.
func guarded[T any](name string, log *slog.Logger, f func() (T, error)) (out T, err error) {
	defer func() {
		if r := recover(); r != nil {
			log.Error("panic in "+name, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = crashed(name, r)
		}
	}()
	return f()
}

// problem reads an error; one that only says that the context has ended gets
// words of its own.
func problem(ctx context.Context, err error) *diag.Problem {
	p := diag.Of(err)
	var known *diag.Problem
	if errors.As(err, &known) || ctx.Err() == nil {
		return p
	}
	p.Diagnostics = diag.List{{Severity: diag.Error, Summary: "Operation cancelled", Detail: fmt.Sprintf("It was told to stop before it was done: %v.", err)}}
	return p
}

// track lets Cancel find an operation until the returned function is called.
func (s *Server) track(key string, cancel context.CancelFunc) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancels[key] == nil {
		s.cancels[key] = map[*context.CancelFunc]struct{}{}
	}
	s.cancels[key][&cancel] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.cancels[key], &cancel)
		if len(s.cancels[key]) == 0 {
			delete(s.cancels, key)
		}
	}
}

// cancel ends every operation under way with this key.
func (s *Server) cancel(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.cancels[key] {
		(*f)()
	}
}

// question is one call without a stream: it changes nothing, and what it logs
// goes to the process's own log. A problem that only warns is no failure.
func question[C any](ctx context.Context, s *Server, pb *pluginpb.Call, kind schema.Kind, name, operation string, config *pluginpb.Value, f func(context.Context, C, call.Request) error) (diag.List, *pluginpb.Failure, error) {
	c := wire.CallFromPB(pb)
	if !c.Deadline.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, c.Deadline)
		defer stop()
	}
	log := slog.Default().With("operation", operation, "node", c.Node)
	_, err := guarded(operation, log, func() (struct{}, error) {
		component, unknown, err := component[C](s, kind, name, operation, config, false)
		if err == nil {
			err = f(ctx, component, call.Request{Call: c, Log: log, Unknown: unknown})
		}
		return struct{}{}, err
	})
	if err == nil {
		return nil, nil, nil
	}
	if r, ok := refused(err); ok {
		return nil, nil, r
	}
	p := problem(ctx, err)
	if !p.Diagnostics.HasErrors() {
		return p.Diagnostics, nil, nil
	}
	p.Effect = diag.None
	return nil, wire.FailureToPB(p), nil
}
