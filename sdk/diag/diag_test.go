package diag_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/value"
)

func TestOf(t *testing.T) {
	port := diag.AtAttr("port", "Invalid port", errors.New("the port must not be 0"))
	size := diag.AtPath(value.Path{value.Name("sizes"), value.Index(1)}, "Invalid size", errors.New("too small"))
	portDiag := diag.Diagnostic{Severity: diag.Error, Summary: "Invalid port", Detail: "the port must not be 0", Path: value.Names("port")}
	sizeDiag := diag.Diagnostic{Severity: diag.Error, Summary: "Invalid size", Detail: "too small", Path: value.Path{value.Name("sizes"), value.Index(1)}}
	plain := func(text string) diag.Diagnostic {
		return diag.Diagnostic{Severity: diag.Error, Summary: "Operation failed", Detail: text}
	}
	for name, tt := range map[string]struct {
		err  error
		want *diag.Problem
	}{
		"nil stays nil":             {nil, nil},
		"a plain error has a text":  {errors.New("boom"), &diag.Problem{Diagnostics: diag.List{plain("boom")}}},
		"a problem is found inside": {fmt.Errorf("checking: %w", port), &diag.Problem{Diagnostics: diag.List{portDiag}}},
		"joined problems keep all":  {errors.Join(port, size), &diag.Problem{Diagnostics: diag.List{portDiag, sizeDiag}}},
		"a plain error beside a problem is kept": {
			errors.Join(port, errors.New("boom")), &diag.Problem{Diagnostics: diag.List{portDiag, plain("boom")}},
		},
		"joined plain errors are one": {errors.Join(errors.New("a"), errors.New("b")), &diag.Problem{Diagnostics: diag.List{plain("a\nb")}}},
		"retryable":                   {diag.Retryable(errors.New("busy")), &diag.Problem{Diagnostics: diag.List{plain("busy")}, Retry: diag.Safe, Effect: diag.None}},
		"retry after": {
			diag.RetryAfter(time.Minute, port), &diag.Problem{Diagnostics: diag.List{portDiag}, Retry: diag.Later, After: time.Minute, Effect: diag.None},
		},
		"the most careful of two wins": {
			errors.Join(diag.Retryable(port), diag.WithEffect(diag.Done, size)),
			&diag.Problem{Diagnostics: diag.List{portDiag, sizeDiag}, Retry: diag.Never, Effect: diag.Done},
		},
		"the longest wait wins": {
			errors.Join(diag.RetryAfter(time.Second, port), diag.RetryAfter(time.Minute, size)),
			&diag.Problem{Diagnostics: diag.List{portDiag, sizeDiag}, Retry: diag.Later, After: time.Minute, Effect: diag.None},
		},
		"permanent beats retryable": {
			diag.Retryable(fmt.Errorf("denied: %w", diag.ErrPermanent)),
			&diag.Problem{Diagnostics: diag.List{plain("denied: permanent")}, Effect: diag.None},
		},
		"a warning is no error": {
			diag.WarnAtAttr("port", "Unusual port", "port %d is below 1024", 80),
			&diag.Problem{Diagnostics: diag.List{{Severity: diag.Warning, Summary: "Unusual port", Detail: "port 80 is below 1024", Path: value.Names("port")}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, diag.Of(tt.err), cmpopts.IgnoreUnexported(diag.Problem{})); d != "" {
				t.Errorf("diag.Of (-want +got):\n%s", d)
			}
		})
	}
}

func TestProblemKeepsItsCause(t *testing.T) {
	for name, err := range map[string]error{
		"at attribute": diag.AtAttr("path", "Missing file", fs.ErrNotExist),
		"new":          diag.New("Missing file", "open: %w", fs.ErrNotExist),
		"retryable":    diag.Retryable(fmt.Errorf("open: %w", fs.ErrNotExist)),
		"joined":       diag.Of(errors.Join(diag.New("Other", "x"), diag.AtAttr("path", "Missing file", fs.ErrNotExist))),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the cause is lost in %v", name, err)
		}
	}
}

func TestOfLeavesItsArgumentAlone(t *testing.T) {
	a := &diag.Problem{Diagnostics: make(diag.List, 1, 4)}
	a.Diagnostics[0].Summary = "a"
	b := &diag.Problem{Diagnostics: diag.List{{Summary: "b"}}}
	diag.Of(errors.Join(a, b)).Diagnostics[0].Detail = "changed"
	if len(a.Diagnostics) != 1 || a.Diagnostics[:2][1].Summary != "" || a.Diagnostics[0].Detail != "" {
		t.Errorf("diag.Of wrote into its argument: %+v", a.Diagnostics[:2])
	}
	if got := diag.Retryable(a); diag.Of(got).Retry != diag.Safe || a.Retry != diag.Never {
		t.Errorf("diag.Retryable wrote into its argument")
	}
}

func TestErrNeedsAnError(t *testing.T) {
	warning := diag.List{{Severity: diag.Warning, Summary: "w"}}
	if err := warning.Err(); err != nil {
		t.Errorf("warnings alone gave %v", err)
	}
	if err := append(warning, diag.Diagnostic{Summary: "unknown severity"}).Err(); err == nil {
		t.Error("a diagnostic without severity must count as an error")
	}
}
