// Package diag is how a plugin speaks to the author of the pipeline file.
//
// A plugin blames an attribute; core knows the file and adds the place. Return
// the result of AtAttr or New as an ordinary error; wrap it with Retryable,
// After or Effect to tell the host what it may do next.
package diag

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/sdk/value"
)

// Severity of a diagnostic.
type Severity int

const (
	// Error means the operation cannot succeed.
	Error Severity = iota + 1
	// Warning is worth telling, even on success.
	Warning
)

// Diagnostic is one message. Summary is a class of problem, without names that
// the user chose and without a full stop. Detail says what, why it matters and
// what to do, in sentences. A command to run stands alone on an indented line.
type Diagnostic struct {
	Severity Severity
	Summary  string
	Detail   string
	// Path of the attribute at fault; empty when it is the component as a whole.
	Path value.Path
	// Code is stable and names a page of the documentation; may be empty.
	Code string
}

// List is any number of diagnostics.
type List []Diagnostic

// HasErrors reports whether any of them is an error.
func (l List) HasErrors() bool {
	for _, d := range l {
		if d.Severity != Warning {
			return true
		}
	}
	return false
}

// Err is nil when no diagnostic is an error, else an *Problem with all of them.
func (l List) Err() error {
	if !l.HasErrors() {
		return nil
	}
	return &Problem{Diagnostics: l}
}

// Retry says whether the same call may be made again.
type Retry int

const (
	// Never means another try cannot help. It is the zero value.
	Never Retry = iota
	// Safe means another try can help, with the host's own backoff.
	Safe
	// Later means another try can help once Problem.After has passed.
	Later
)

// Effect says whether a failed call changed the world.
type Effect int

const (
	// Unknown means nobody can tell. It is the zero value.
	Unknown Effect = iota
	// None means that nothing was changed.
	None
	// Done means that the change was made all the same.
	Done
)

// Problem is an error that carries diagnostics and what the host may do next.
type Problem struct {
	Diagnostics List
	Retry       Retry
	// After is the least wait before another try; set with Later.
	After  time.Duration
	Effect Effect
	cause  error
}

// Error joins the diagnostics.
func (p *Problem) Error() string {
	var parts []string
	for _, d := range p.Diagnostics {
		s := d.Summary
		if len(d.Path) > 0 {
			s = d.Path.String() + ": " + s
		}
		if d.Detail != "" {
			s += ": " + d.Detail
		}
		parts = append(parts, s)
	}
	if len(parts) == 0 && p.cause != nil {
		return p.cause.Error()
	}
	return strings.Join(parts, "; ")
}

// Unwrap is the error that was wrapped, if any.
func (p *Problem) Unwrap() error { return p.cause }

// WithCause is p with an error that errors.Is and errors.As find; its text is
// not shown.
func (p *Problem) WithCause(err error) *Problem {
	out := *p
	out.cause = err
	return &out
}

// ErrPermanent marks an error as one that another try cannot help.
var ErrPermanent = errors.New("permanent")

// New is an error about the component as a whole.
func New(summary, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Problem{Diagnostics: List{{Severity: Error, Summary: summary, Detail: err.Error()}}, cause: errors.Unwrap(err)}
}

// AtAttr is an error about one attribute of the configuration; cause gives the detail.
func AtAttr(attr, summary string, cause error) error {
	return AtPath(value.Names(attr), summary, cause)
}

// AtPath is AtAttr for a place deeper inside.
func AtPath(path value.Path, summary string, cause error) error {
	return &Problem{Diagnostics: List{{Severity: Error, Summary: summary, Detail: cause.Error(), Path: path}}, cause: cause}
}

// Warn is a warning about the component as a whole. Returned from Validate or
// Plan, alone or joined with errors, it is shown and stops nothing.
func Warn(summary, format string, args ...any) error {
	return &Problem{Diagnostics: List{{Severity: Warning, Summary: summary, Detail: fmt.Sprintf(format, args...)}}}
}

// WarnAtAttr is a warning about one attribute of the configuration.
func WarnAtAttr(attr, summary, format string, args ...any) error {
	return &Problem{Diagnostics: List{{Severity: Warning, Summary: summary, Detail: fmt.Sprintf(format, args...), Path: value.Names(attr)}}}
}

// Retryable says that another try can help and that nothing was changed.
func Retryable(err error) error {
	return with(err, func(p *Problem) { p.Retry, p.Effect = Safe, None })
}

// RetryAfter says that another try can help after d and that nothing was changed.
func RetryAfter(d time.Duration, err error) error {
	return with(err, func(p *Problem) { p.Retry, p.After, p.Effect = Later, d, None })
}

// WithEffect says whether the failed call changed the world.
func WithEffect(e Effect, err error) error {
	return with(err, func(p *Problem) { p.Effect = e })
}

// Of reads any error as a Problem: those found in its chain, else a new one with
// the error's text. Of joined errors it keeps all diagnostics, and of what they
// say about retry and effect the most careful: never before later before safe,
// unknown before done before none. It is nil for nil.
func Of(err error) *Problem {
	if err == nil {
		return nil
	}
	var found []*Problem
	collect(err, &found)
	if len(found) == 0 {
		return &Problem{Diagnostics: List{{Severity: Error, Summary: "Operation failed", Detail: err.Error()}}, cause: err}
	}
	out := *found[0]
	for _, p := range found[1:] {
		out.Diagnostics = append(out.Diagnostics[:len(out.Diagnostics):len(out.Diagnostics)], p.Diagnostics...)
		out.Retry = careful(out.Retry, p.Retry, Never, Later, Safe)
		out.Effect = careful(out.Effect, p.Effect, Unknown, Done, None)
		out.After = max(out.After, p.After)
		out.cause = err
	}
	if errors.Is(err, ErrPermanent) {
		out.Retry, out.After = Never, 0
	}
	return &out
}

// collect finds the outermost Problem of each branch. A branch without one
// counts as an error with its text, unless it is the only branch.
func collect(err error, found *[]*Problem) {
	switch e := err.(type) {
	case *Problem:
		*found = append(*found, e)
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			collect(inner, found)
		}
	case interface{ Unwrap() []error }:
		branches := e.Unwrap()
		var any bool
		all := make([]*Problem, 0, len(branches))
		for _, b := range branches {
			var here []*Problem
			if collect(b, &here); len(here) > 0 {
				any = true
			} else if b != nil && !errors.Is(ErrPermanent, b) {
				here = []*Problem{{Diagnostics: List{{Severity: Error, Summary: "Operation failed", Detail: b.Error()}}, cause: b}}
			}
			all = append(all, here...)
		}
		if any {
			*found = append(*found, all...)
		}
	}
}

// careful is the one of a and b that comes first in order.
func careful[T comparable](a, b T, order ...T) T {
	for _, x := range order {
		if a == x || b == x {
			return x
		}
	}
	return a
}

func with(err error, change func(*Problem)) error {
	p := Of(err)
	if p == nil {
		return nil
	}
	change(p)
	if p.cause == nil {
		p.cause = err
	}
	return p
}
