package fake

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/child"
	"github.com/runner-pipelines/runner/sdk/diag"
)

// Forms are what other programs make of a secret, by name. Of one with several
// lines there is the longest line, too.
func Forms(secret string) map[string]string {
	quoted, _ := json.Marshal(secret) // text cannot fail
	plain := []byte(secret)
	out := map[string]string{
		"raw":            secret,
		"json":           strings.Trim(string(quoted), `"`),
		"go":             strings.Trim(strconv.Quote(secret), `"`),
		"query":          url.QueryEscape(secret),
		"path":           url.PathEscape(secret),
		"html":           html.EscapeString(secret),
		"shell":          strings.ReplaceAll(secret, "'", `'\''`),
		"hex":            hex.EncodeToString(plain),
		"base64":         base64.RawStdEncoding.EncodeToString(plain),
		"base64 url":     base64.RawURLEncoding.EncodeToString(plain),
		"base64 wrapped": wrapped(base64.StdEncoding.EncodeToString(plain)),
		"bytes":          strings.Trim(fmt.Sprint(plain), "[]"),
	}
	if lines := strings.FieldsFunc(secret, func(r rune) bool { return r == '\n' || r == '\r' }); len(lines) > 1 {
		out["line"] = slices.MaxFunc(lines, func(a, b string) int { return len(a) - len(b) })
	}
	for before := 1; before <= 2 && len(secret) > 9; before++ {
		text := slices.Concat(bytes.Repeat([]byte{'x'}, before), plain, []byte("yyy"))
		out["base64 after "+strconv.Itoa(before)] = base64.RawStdEncoding.EncodeToString(text)
	}
	return out
}

// wrapped is the first line of what the base64 command prints.
func wrapped(text string) string { return text[:min(len(text), 76)] }

// Leak is an action that tells its secret wherever it can.
type Leak struct {
	Secret string `hcl:"secret" sensitive:"true"`
	End    string `hcl:"end,optional" doc:"how it ends: empty for success, diagnostic, panic, goroutine, invalid"`
}

// Outputs tells their shape: none is called sensitive.
func (l *Leak) Outputs() any { return LeakOutputs{} }

// LeakOutputs of fake_leak.
type LeakOutputs struct {
	Text  string            `hcl:"text"`
	Forms map[string]string `hcl:"forms"`
	Keys  map[string]string `hcl:"keys"`
}

func (l *Leak) each(f func(form string)) {
	forms := Forms(l.Secret)
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		f(forms[name])
	}
}

func (l *Leak) everything() string {
	var b strings.Builder
	l.each(func(form string) { b.WriteString("<" + form + ">\n") })
	return b.String()
}

// Validate refuses or warns with the secret.
func (l *Leak) Validate() error {
	if l.End == "invalid" {
		return errors.Join(diag.AtAttr("secret", "Invalid "+l.Secret, errors.New(l.everything())), diag.New("Also "+l.Secret, "%s", l.everything()))
	}
	return errors.Join(diag.WarnAtAttr("secret", "Weak "+l.Secret, "%s", l.everything()), oneOf("end", l.End, "diagnostic", "panic", "goroutine", "invalid"))
}

// Plan shows it.
func (l *Leak) Plan(context.Context, *action.Request) (action.Plan, error) {
	p := action.Plan{World: "version " + l.Secret, Sealed: []byte(l.everything()), WayBack: call.Exact}
	l.each(func(form string) {
		p.Changes = append(p.Changes, call.Change{Action: call.Update, Subject: form, Summary: "to " + form})
	})
	return p, nil
}

// Run says it to everybody.
func (l *Leak) Run(ctx context.Context, req *action.Request) (action.Result, error) {
	if err := l.tell(ctx, &req.Request); err != nil {
		return action.Result{}, err
	}
	switch l.End {
	case "diagnostic":
		return action.Result{}, errors.Join(diag.New("Failed with "+l.Secret, "%s", l.everything()), diag.AtAttr("secret", "And "+l.Secret, errors.New(l.everything())))
	case "panic":
		panic(l.everything())
	case "goroutine":
		go panic(errors.New(l.Secret + "\n" + l.everything()))
		select {}
	}
	out := LeakOutputs{Text: "the secret is " + l.Secret, Forms: Forms(l.Secret), Keys: map[string]string{l.Secret: "a key"}}
	return action.Result{Outputs: &out, Undo: []byte(l.everything()), World: "version " + l.Secret}, nil
}

// Undo says it once more.
func (l *Leak) Undo(ctx context.Context, req *action.UndoRequest) error {
	return l.tell(ctx, &req.Request)
}

// Reconcile checks that the handle came back as it was sent.
func (l *Leak) Reconcile(_ context.Context, req *action.ReconcileRequest) (action.Reconciliation, error) {
	if req.Handle == nil || !strings.HasSuffix(string(req.Handle.Opaque), req.Handle.ID) || strings.Contains(req.Handle.ID, "(sensitive)") {
		return action.Reconciliation{}, diag.New("Handle is another one", "It came back as %v.", req.Handle)
	}
	return action.Reconciliation{State: call.Done, Err: diag.New("Failed with "+l.Secret, "%s", l.everything())}, nil
}

func (l *Leak) tell(ctx context.Context, req *call.Request) (err error) {
	l.each(func(form string) {
		req.Log.Info("it is "+form, "value", form, form, "as a key")
		req.Log.WithGroup(form).Warn("in a group", "value", form)
		req.Progress(50, "with "+form)
		err = errors.Join(err, req.Handle(form, []byte("opaque "+form)))
		fmt.Println("printed", form)
		for i := range len(form) { // in writes of one byte
			_, werr := os.Stderr.WriteString(form[i : i+1])
			err = errors.Join(err, werr)
		}
		fmt.Fprintln(os.Stderr)
	})
	req.Log.Info(strings.Repeat("x", 64<<10-len(l.Secret)/2) + l.Secret)
	return errors.Join(err, l.ask(ctx, req))
}

// ask has a child print its environment, in pieces.
func (l *Leak) ask(ctx context.Context, req *call.Request) error {
	const script = `env; set -x; printf '%s' "${TOKEN%????}"; printf '%s\n' "${TOKEN#"${TOKEN%????}"}"; echo "$TOKEN" >&2; : "$TOKEN"`
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script)
	cmd.Env = []string{"TOKEN=" + l.Secret, "PATH=/usr/bin:/bin"}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := child.Run(cmd); err != nil {
		return diag.New("Child failed", "%v: %s", err, errs.String())
	}
	for stream, text := range map[string]*bytes.Buffer{"stdout": &out, "stderr": &errs} {
		for lines := bufio.NewScanner(text); lines.Scan(); {
			req.Output(stream, lines.Text())
		}
	}
	return nil
}
