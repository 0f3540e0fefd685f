package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/handshake"
)

// Codes of the diagnostics of Start.
const (
	CodeNotStarted  = "plugin_not_started"
	CodeNotAPlugin  = "plugin_not_a_plugin"
	CodeEnded       = "plugin_ended"
	CodeSilent      = "plugin_silent"
	CodeNoProtocol  = "plugin_protocol_version"
	CodeUnreachable = "plugin_unreachable"
	CodeNonsense    = "plugin_nonsense"
)

// explainStart says why a plugin could not be started. By now its process is gone.
func (p *Process) explainStart(ctx, limited context.Context, cfg Config, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("start plugin %q: %w", cfg.Name, ctx.Err())
	}
	explain := func(code, summary, format string, args ...any) error {
		detail := fmt.Sprintf(format, args...) + p.run.tail.text()
		problem := &diag.Problem{Effect: diag.None, Diagnostics: diag.List{{Severity: diag.Error, Code: code, Summary: summary, Detail: detail}}}
		return problem.WithCause(err)
	}
	if p.run.ID() == "" {
		return explain(CodeNotStarted, "Plugin cannot be started", "The program of the plugin %q, %s, cannot be started: %s.", cfg.Name, cfg.Command[0], whyNotStarted(err))
	}
	greeting, version, greeted := p.run.said()
	switch {
	case errors.Is(err, errVersion):
		return explain(CodeNoProtocol, "Plugin speaks another protocol", "%s", p.adviseVersion(version))
	case errors.Is(err, ErrProtocol):
		return explain(CodeNonsense, "Plugin describes itself wrongly", "The plugin %q was started, but what it says about itself makes no sense: %v. This is a mistake in the plugin.", cfg.Name, err)
	case limited.Err() != nil:
		return explain(CodeSilent, "Plugin does not answer", "The plugin %q was started as %s and did not answer within %s. It was stopped.", cfg.Name, cfg.Command[0], cfg.StartTimeout)
	case greeted && version == 0:
		return explain(CodeNotAPlugin, "Program is not a plugin", "The program %s was started as the plugin %q, but the first line of its output is not the greeting of a plugin: %q. If it is one, it printed something before it called Serve.", cfg.Command[0], cfg.Name, shorten(greeting))
	case !greeted:
		return explain(CodeEnded, "Plugin ended at once", "The program %s was started as the plugin %q and ended before it said anything: %s.", cfg.Command[0], cfg.Name, exitText(p.run.exit))
	}
	return explain(CodeUnreachable, "Plugin cannot be reached", "The plugin %q was started and gave its address, but no call reaches it: %v.", cfg.Name, err)
}

func whyNotStarted(err error) string {
	var path *fs.PathError
	var run *exec.Error
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "the file does not exist, or was built for another system"
	case errors.Is(err, fs.ErrPermission):
		return "the file is not executable"
	case errors.As(err, &path):
		return path.Err.Error()
	case errors.As(err, &run):
		return run.Err.Error()
	}
	return err.Error()
}

// adviseVersion names both protocol versions and the constraint to write.
func (p *Process) adviseVersion(version int) string {
	d := p.description
	ours := fmt.Sprintf("protocol %d", handshake.Protocol)
	if handshake.Oldest < handshake.Protocol {
		ours = fmt.Sprintf("protocols %d to %d", handshake.Oldest, handshake.Protocol)
	}
	if version > handshake.Protocol {
		return fmt.Sprintf("The plugin %q %s speaks protocol %d, and this runner speaks %s. Use a newer runner, or ask for an older plugin in required_plugins:\n\n    %s = { version = \"< %s\" }", d.Name, d.Version, version, ours, d.Name, d.Version)
	}
	return fmt.Sprintf("The plugin %q %s speaks protocol %d, and this runner speaks %s. Ask for a newer plugin in required_plugins:\n\n    %s = { version = \"> %s\" }", d.Name, d.Version, version, ours, d.Name, d.Version)
}

func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

func shorten(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// Fault is a call that got no proper answer: Kind is ErrLost or ErrProtocol.
type Fault struct {
	Kind      error
	Plugin    string
	Operation string
	// What happened, in words that end a sentence.
	What string
	// Tail is the end of what the process said, as a paragraph; may be empty.
	Tail string
	// Mutating: the operation may have had its effect.
	Mutating bool
}

func (f *Fault) Error() string {
	return fmt.Sprintf("%s: %s: plugin %q: %s%s", f.Operation, f.Kind, f.Plugin, f.What, f.Tail)
}

func (f *Fault) Unwrap() error { return f.Kind }

// Codes of the diagnostics of Explain.
const (
	CodeProtocol = "plugin_protocol"
	CodeLost     = "plugin_lost"
)

// Explain says to people what a *Fault means; component is what was asked for,
// empty where the message stands beside its name.
// It is nil for any other error.
func Explain(err error, component string) *diag.Problem {
	var f *Fault
	if !errors.As(err, &f) {
		return nil
	}
	words := strconv.Quote(strings.ReplaceAll(f.Operation, "_", " "))
	if component != "" {
		words += " of " + component
	}
	d := diag.Diagnostic{Severity: diag.Error, Code: CodeProtocol, Summary: "Plugin broke the protocol"}
	d.Detail = fmt.Sprintf("The plugin %q answered the operation %s with what it must not: %s.", f.Plugin, words, f.What)
	advice := " This is a mistake in the plugin, not in the pipeline: tell its author, or use another version of it."
	p := &diag.Problem{Effect: diag.None}
	if f.Kind == ErrLost {
		d.Code, d.Summary = CodeLost, "Plugin was lost"
		d.Detail = fmt.Sprintf("The plugin %q gave no answer to the operation %s: %s.", f.Plugin, words, f.What)
		advice = " Look into what it said (RUNNER_LOG=debug shows all of it), then try again or use another version of the plugin."
	}
	if f.Mutating {
		d.Detail += " Whether the operation had its effect is not known."
		p.Effect = diag.Unknown
	}
	d.Detail += advice + f.Tail
	p.Diagnostics = diag.List{d}
	return p.WithCause(err)
}

// mutating are the operations that change something.
var mutating = map[string]bool{"run": true, "undo": true, "install": true, "set_weight": true, "scale": true, "settle": true, "retire": true}

func (p *Process) fault(kind error, operation, what, tail string) error {
	return &Fault{Kind: kind, Plugin: p.name, Operation: operation, What: what, Tail: tail, Mutating: mutating[operation]}
}

// failed reads the gRPC error of a call.
func (p *Process) failed(ctx context.Context, operation string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", operation, ctx.Err())
	}
	// The other side knows the deadline too, and may notice it first.
	if at, ok := ctx.Deadline(); ok && time.Until(at) < 100*time.Millisecond {
		return fmt.Errorf("%s: %w", operation, context.DeadlineExceeded)
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled:
		return p.lost(operation)
	case codes.Internal, codes.Unknown:
		// A connection that breaks in the middle of a message looks like this too.
		if p.ended(100 * time.Millisecond) {
			return p.lost(operation)
		}
	case codes.ResourceExhausted:
		return p.broke(operation, "its answer is larger than %d MiB", handshake.MaxMessage>>20)
	}
	return p.broke(operation, "%s", cutText(status.Convert(err).Message(), MaxText))
}

// broke is an answer that must not be.
func (p *Process) broke(operation, format string, args ...any) error {
	return p.fault(ErrProtocol, operation, fmt.Sprintf(format, args...), "")
}

// lost says how the process ended, if it did.
func (p *Process) lost(operation string) error {
	if p.ended(500 * time.Millisecond) {
		return p.fault(ErrLost, operation, "its process has ended ("+exitText(p.run.exit)+")", p.run.tail.text())
	}
	return p.fault(ErrLost, operation, "it closed the connection", "")
}

// ended reports whether the process has ended, or does so in a moment.
func (p *Process) ended(moment time.Duration) bool {
	select {
	case <-p.run.done:
		return true
	case <-time.After(moment):
		return false
	}
}
