package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
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

// failed reads the gRPC error of a call.
func (p *Process) failed(ctx context.Context, operation string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", operation, ctx.Err())
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
		return fmt.Errorf("%s: %w: the answer of plugin %q is larger than %d MiB", operation, ErrProtocol, p.name, handshake.MaxMessage>>20)
	}
	return p.broke(operation, "%s", status.Convert(err).Message())
}

// broke is an answer that must not be.
func (p *Process) broke(operation, format string, args ...any) error {
	return fmt.Errorf("%s: %w: plugin %q: %s", operation, ErrProtocol, p.name, fmt.Sprintf(format, args...))
}

// lost says how the process ended, if it did.
func (p *Process) lost(operation string) error {
	if p.ended(500 * time.Millisecond) {
		return fmt.Errorf("%s: %w: the process of plugin %q has ended (%s)%s", operation, ErrLost, p.name, exitText(p.run.exit), p.run.tail.text())
	}
	return fmt.Errorf("%s: %w: plugin %q closed the connection", operation, ErrLost, p.name)
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
