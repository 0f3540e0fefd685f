package server

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

// refusal is the gRPC error for a call that the host should never have made. An
// error of the component itself is never one, also when it comes from gRPC.
type refusal struct{ error }

func refuse(code codes.Code, format string, args ...any) error {
	return refusal{status.Errorf(code, format, args...)}
}

// refused finds a refusal.
func refused(err error) (error, bool) {
	var r refusal
	if errors.As(err, &r) {
		return r.error, true
	}
	return nil, false
}

// errNoOperation is the answer to a call that Describe does not offer.
func errNoOperation(kind schema.Kind, name, operation string) error {
	return refuse(codes.Unimplemented, "%s %q offers no operation %q", kind, name, operation)
}

// component makes the component that a request names and decodes its
// configuration. The error is a refusal, or a problem for the author of the
// pipeline file.
func component[C any](s *Server, kind schema.Kind, name, operation string, config *pluginpb.Value, acts bool) (C, []value.Path, error) {
	var none C
	made, ok := s.find(kind, name)
	if !ok {
		return none, nil, refuse(codes.NotFound, "there is no %s named %q", kind, name)
	}
	c, ok := made.(C)
	if !ok {
		return none, nil, errNoOperation(kind, name, operation)
	}
	if err := s.ready(); err != nil {
		return none, nil, err
	}
	v := wire.ValueFromPB(config)
	if acts && len(v.Unknown) > 0 {
		return none, nil, refuse(codes.InvalidArgument, "%s of %s %q: the configuration is not wholly known", operation, kind, name)
	}
	diags := schema.Decode(v, made)
	if !diags.HasErrors() && len(v.Unknown) == 0 {
		diags = append(diags, validate(made, nil)...)
	}
	if diags.HasErrors() {
		return none, nil, &diag.Problem{Diagnostics: diags, Retry: diag.Never, Effect: diag.None}
	}
	return c, v.Unknown, nil
}

// ready is a problem as long as the plugin block was not handed over.
func (s *Server) ready() error {
	if s.cfg.Configurer == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.configurer != nil {
		return nil
	}
	return &diag.Problem{Effect: diag.None, Diagnostics: diag.List{{
		Severity: diag.Error, Summary: "Plugin not configured", Detail: fmt.Sprintf("The plugin %q was asked to work before it was given its configuration.", s.cfg.Name),
	}}}
}

// validate asks a decoded component about itself. While anything is unknown,
// what it says about unknown places, or about no place at all, is dropped: it
// may be only that the value is not there yet.
func validate(component any, unknown []value.Path) (diags diag.List) {
	v, ok := component.(interface{ Validate() error })
	if !ok {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			slog.Error("panic in Validate", "panic", r, "stack", string(debug.Stack()))
			diags = crashed("Validate", r).Diagnostics
		}
	}()
	p := diag.Of(v.Validate())
	if p == nil {
		return nil
	}
	if len(unknown) == 0 {
		return p.Diagnostics
	}
	return slices.DeleteFunc(schema.DropUnknown(p.Diagnostics, unknown), func(d diag.Diagnostic) bool {
		return len(d.Path) == 0 && d.Severity != diag.Warning
	})
}

// crashed is what a panic becomes.
func crashed(operation string, r any) *diag.Problem {
	return &diag.Problem{Diagnostics: diag.List{{
		Severity: diag.Error, Summary: "Plugin crashed", Code: "plugin_panic",
		Detail: fmt.Sprintf("%s ended in a panic: %v. This is a mistake in the plugin; its log has the place.", operation, r),
	}}, Retry: diag.Never, Effect: diag.Unknown}
}
