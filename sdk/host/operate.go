package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
)

// message is a message of a streamed call.
type message[T any] interface {
	*T
	GetEvent() *pluginpb.Event
}

// operate makes one streamed call and gives its outcome.
func operate[T any, M message[T]](ctx context.Context, p *Process, c call.Call, name string, sink Sink, open func(context.Context) (grpc.ServerStreamingClient[T], error)) (Outcome, error) {
	if err := ctx.Err(); err != nil {
		return Outcome{}, diag.WithEffect(diag.None, fmt.Errorf("%s: %w", name, err))
	}
	select {
	case <-p.run.done:
		// Another process can do it.
		return Outcome{}, diag.Retryable(p.lost(name))
	default:
	}
	o := &operation{p: p, ctx: ctx, call: c, name: name, sink: sink}
	// The stream outlives ctx, so that the outcome of a cancelled call arrives.
	var streamCtx context.Context
	streamCtx, o.cut = context.WithCancel(context.WithoutCancel(ctx))
	defer o.leave()
	stream, err := open(streamCtx)
	if err != nil {
		return Outcome{}, p.failed(ctx, name, err)
	}
	defer context.AfterFunc(ctx, o.cancel)()
	for {
		m, err := stream.Recv()
		if err != nil {
			return o.ended(err)
		}
		if err := o.event(M(m).GetEvent()); err != nil {
			return Outcome{}, err
		}
	}
}

// operation is a streamed call under way.
type operation struct {
	p    *Process
	ctx  context.Context
	call call.Call
	name string
	sink Sink
	// cut ends the stream.
	cut context.CancelFunc

	mu        sync.Mutex
	cancelled bool
	// patience ends with the stream being cut.
	patience *time.Timer

	sinkErr error
	handles int
	outcome *pluginpb.Outcome
}

// leave frees what the call holds.
func (o *operation) leave() {
	o.cut()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.patience != nil {
		o.patience.Stop()
	}
}

// limit cuts the stream when it goes on for longer than the grace period.
func (o *operation) limit() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.patience == nil {
		o.patience = time.AfterFunc(o.p.grace, o.cut)
	}
}

// cancel asks the plugin to stop, and cuts the stream when it does not within
// the grace period.
func (o *operation) cancel() {
	o.mu.Lock()
	again := o.cancelled
	o.cancelled = true
	o.mu.Unlock()
	if again {
		return
	}
	o.limit()
	go func() {
		asked, done := context.WithTimeout(context.Background(), o.p.grace)
		defer done()
		// A plugin without Cancel is told by the end of the stream.
		if _, err := o.p.plugin.Cancel(asked, &pluginpb.CancelRequest{Call: wire.CallToPB(o.call)}); err != nil {
			o.cut()
		}
	}()
}

// event takes one event; its error ends the call.
func (o *operation) event(e *pluginpb.Event) error {
	if o.outcome != nil {
		return o.p.broke(o.name, "an event came after the outcome")
	}
	switch x := e.GetEvent().(type) {
	case *pluginpb.Event_Log:
		if o.sink != nil {
			o.sink.Log(logLine(x.Log))
		}
	case *pluginpb.Event_Progress:
		if o.sink != nil {
			o.sink.Progress(int(min(max(x.Progress.GetPercent(), -1), 100)), cutText(x.Progress.GetMessage(), MaxText))
		}
	case *pluginpb.Event_Handle:
		var l limited
		l.handle(x.Handle)
		o.handles++
		l.that(o.handles <= MaxHandles, "it sent more than %d handles", MaxHandles)
		if l.what != "" {
			return o.p.broke(o.name, "%s", l.what)
		}
		if o.sink == nil {
			break
		}
		if err := o.sink.Handle(*wire.HandleFromPB(x.Handle)); err != nil && o.sinkErr == nil {
			o.sinkErr = fmt.Errorf("%s: keep handle: %w", o.name, err)
			o.cancel()
		}
	case *pluginpb.Event_Outcome:
		if x.Outcome.GetOutputs() == nil && x.Outcome.GetFailure() == nil {
			return o.p.broke(o.name, "the outcome says neither success nor failure")
		}
		var l limited
		if l.outcome(x.Outcome); l.what != "" {
			return o.p.broke(o.name, "%s", l.what)
		}
		o.outcome = x.Outcome
		// The end of the stream follows at once, or is not waited for.
		o.limit()
	default:
		return o.p.broke(o.name, "an event says nothing")
	}
	return nil
}

// logLine keeps of a line what the limits allow.
func logLine(l *pluginpb.Log) Line {
	out := Line{Time: wire.TimeFromPB(l.GetTime()), Level: wire.LevelFromPB(l.GetLevel()), Message: cutText(l.GetMessage(), MaxLogMessage)}
	if s := l.GetStream(); s == "stdout" || s == "stderr" {
		out.Stream = s
	}
	if attrs := l.GetAttributes(); len(attrs) > 0 {
		out.Attrs = make(map[string]string, min(len(attrs), MaxLogAttrs))
		for _, name := range slices.Sorted(maps.Keys(attrs)) {
			if len(out.Attrs) == MaxLogAttrs-1 && len(attrs) > MaxLogAttrs {
				out.Attrs["…"] = fmt.Sprintf("(%d attributes more)", len(attrs)-len(out.Attrs))
				break
			}
			out.Attrs[cutText(name, MaxName)] = cutText(attrs[name], MaxLogAttr)
		}
	}
	return out
}

// ended reads the end of the stream.
func (o *operation) ended(err error) (Outcome, error) {
	if o.outcome != nil {
		return o.result()
	}
	if errors.Is(err, io.EOF) {
		return Outcome{}, o.p.broke(o.name, "the call ended without an outcome")
	}
	if stopped := o.stopped(); stopped != nil {
		if o.p.ended(0) {
			return Outcome{}, fmt.Errorf("%w: %w", stopped, o.p.lost(o.name))
		}
		return Outcome{}, fmt.Errorf("%w: %w", stopped, o.p.fault(ErrLost, o.name, fmt.Sprintf("it did not stop within %s", o.p.grace), ""))
	}
	return Outcome{}, o.p.failed(o.ctx, o.name, err)
}

// stopped is why the host ended the call; nil when it did not.
func (o *operation) stopped() error {
	if o.sinkErr != nil {
		return o.sinkErr
	}
	if err := o.ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	return nil
}

// result reads the outcome. A success is one, also when the call was cancelled
// meanwhile; only what could not be kept is told beside it.
func (o *operation) result() (Outcome, error) {
	out, problem := outcomeFromPB(o.outcome)
	if problem == nil {
		return out, o.sinkErr
	}
	if stopped := o.stopped(); stopped != nil {
		return Outcome{}, fmt.Errorf("%w: %w", stopped, problem)
	}
	return Outcome{}, problem
}

// outcomeFromPB gives either an outcome or a problem.
func outcomeFromPB(o *pluginpb.Outcome) (Outcome, *diag.Problem) {
	if f := o.GetFailure(); f != nil {
		return Outcome{}, problem(f)
	}
	out := Outcome{
		Outputs: wire.ValueFromPB(o.GetOutputs()), Artifacts: wire.ArtifactsFromPB(o.GetArtifacts()), Undo: o.GetSealedUndo(), World: o.GetWorldVersion(),
	}
	if r := o.GetRelease(); r != nil {
		release := wire.ReleaseFromPB(r)
		out.Release = &release
	}
	return out, nil
}
