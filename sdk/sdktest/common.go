package sdktest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/handshake"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

// NewKey makes an idempotency key.
func NewKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// CheckCommon asks what every component of every kind promises.
func CheckCommon(t T, s Subject, kind schema.Kind) {
	t.Run("DescribeIsTheSameInEveryProcess", func(t T) {
		a, b := s.Start(t, kind), s.Start(t, kind)
		if a.Component.Config.Digest() != b.Component.Config.Digest() || a.Description.Version != b.Description.Version || a.Component.Name != b.Component.Name {
			t.Errorf("two processes of the same program describe themselves differently")
		}
		if a.Component.Outputs != nil && (b.Component.Outputs == nil || a.Component.Outputs.Digest() != b.Component.Outputs.Digest()) {
			t.Errorf("two processes of the same program describe other outputs")
		}
	})
	t.Run("AValidConfigurationIsAccepted", func(t T) {
		p := s.Use(t, kind)
		for i, c := range s.All() {
			diags, err := p.Validate(t.Context(), kind, p.Component.Name, p.Value(t, c))
			if err == nil {
				err = diags.Err()
			}
			if err != nil {
				t.Errorf("valid configuration %d is refused: %v", i+1, err)
			}
		}
	})
	t.Run("AnInvalidConfigurationIsBlamedOnItsAttribute", func(t T) {
		if len(s.Invalid) == 0 {
			t.Skipf("no invalid configuration is given")
		}
		p := s.Use(t, kind)
		for i, in := range s.Invalid {
			v, _ := p.Component.Config.Complete(in.Config.value(t))
			diags, err := p.Validate(t.Context(), kind, p.Component.Name, v)
			switch {
			case err != nil:
				t.Errorf("invalid configuration %d: %v", i+1, err)
			case !diags.HasErrors():
				t.Errorf("invalid configuration %d is accepted", i+1)
			case !slices.ContainsFunc(diags, func(d diag.Diagnostic) bool { return d.Severity == diag.Error && d.Path.String() == in.At }):
				t.Errorf("invalid configuration %d: %q is to blame, but it says: %v", i+1, in.At, diags.Err())
			}
			for _, d := range diags {
				if err := presentable(d); err != nil {
					t.Errorf("invalid configuration %d: %v", i+1, err)
				}
			}
		}
	})
	t.Run("WhatIsUnknownIsNotBlamed", func(t T) {
		p := s.Use(t, kind)
		for i, c := range s.All() {
			for _, hidden := range unknowns(p.Component.Config) {
				v := p.Value(t, c)
				v = hide(t, v, hidden)
				diags, err := p.Validate(t.Context(), kind, p.Component.Name, v)
				if err != nil {
					t.Errorf("valid configuration %d with %v unknown: %v", i+1, hidden, err)
					continue
				}
				for _, d := range diags {
					if d.Severity == diag.Error && slices.ContainsFunc(v.Unknown, func(u value.Path) bool { return d.Path.HasPrefix(u) }) {
						t.Errorf("valid configuration %d: %s is unknown and blamed: %s", i+1, d.Path, d.Detail)
					}
				}
				if len(hidden) > 1 && diags.HasErrors() {
					t.Errorf("valid configuration %d with everything unknown is refused: %v", i+1, diags.Err())
				}
			}
		}
	})
	t.Run("ThePluginEndsWhenItsHostIsGone", func(t T) { checkLifeline(t, s) })
}

// presentable reports a message that is not fit for the author of a file.
func presentable(d diag.Diagnostic) error {
	switch {
	case d.Summary == "":
		return errors.New("a diagnostic has no summary")
	case strings.HasSuffix(d.Summary, "."):
		return fmt.Errorf("the summary %q ends with a full stop", d.Summary)
	case d.Code == "plugin_panic":
		return fmt.Errorf("it panicked: %s", d.Detail)
	}
	return nil
}

// unknowns lists which top-level attributes to hide: each alone, then all.
// What must be known at plan is left alone.
func unknowns(s schema.Schema) (out [][]string) {
	var all []string
	for _, a := range s.Attributes {
		if !a.Known {
			out = append(out, []string{a.Name})
			all = append(all, a.Name)
		}
	}
	if len(all) > 1 {
		out = append(out, all)
	}
	return out
}

func hide(t T, v value.Value, names []string) value.Value {
	t.Helper()
	var tree map[string]any
	d := json.NewDecoder(bytes.NewReader(v.JSON))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		t.Fatalf("%v", err)
	}
	for _, n := range names {
		tree[n] = nil
		v.Unknown = append(v.Unknown, value.Names(n))
	}
	out := Config(tree).value(t)
	out.Unknown, out.Sensitive = v.Unknown, v.Sensitive
	return out
}

// Hide makes every attribute unknown that need not be known at plan.
func (s *Started) Hide(t T, c Config) value.Value {
	t.Helper()
	all := unknowns(s.Component.Config)
	if len(all) == 0 {
		return s.Value(t, c)
	}
	return hide(t, s.Value(t, c), all[len(all)-1])
}

// endTime is how long a plugin may live without its host.
const endTime = time.Second

// checkLifeline starts the program as a host does, and lets go of it.
func checkLifeline(t T, s Subject) {
	if runtime.GOOS == "windows" {
		t.Skipf("the lifeline is another descriptor on windows")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Command[0], s.Command[1:]...)
	hs := handshake.Config()
	cmd.Env = append(slices.Clone(s.Env),
		hs.MagicCookieKey+"="+hs.MagicCookieValue, fmt.Sprintf("PLUGIN_PROTOCOL_VERSIONS=%d", handshake.Protocol),
		handshake.EnvLifeline+"=3", "PLUGIN_UNIX_SOCKET_DIR="+shortTempDir(t))
	cmd.ExtraFiles = []*os.File{r}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("%v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.Count(line, "|") < 4 {
		cancel()
		_ = cmd.Wait()
		t.Fatalf("it does not greet its host: %q, %v", line, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	if err := w.Close(); err != nil {
		t.Fatalf("%v", err)
	}
	select {
	case <-ended:
	case <-time.After(endTime):
		t.Errorf("it still lives %s after its lifeline was closed", endTime)
		cancel()
		<-ended
	}
}

// shortTempDir is a directory whose path leaves room for a socket.
func shortTempDir(t T) string {
	dir, err := os.MkdirTemp("/tmp", handshake.SocketPrefix)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
