package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
)

func TestLogLinesTravelWithTheirAttributes(t *testing.T) {
	var got []*pluginpb.Log
	s := &stream{send: func(e *pluginpb.Event) error {
		got = append(got, e.GetLog())
		return nil
	}}
	log := slog.New(&logHandler{to: s})
	log.Info("plain")
	log.With("a", 1).WithGroup("g").With("b", true).WithGroup("").Error("deep", "c", "x", slog.Group("h", "d", errors.New("boom")), slog.Group("", "e", 2), slog.Attr{})
	log.Debug("bad \xff text", "k\xff", "v\xff")
	var texts []string
	for _, l := range got {
		texts = append(texts, l.GetLevel().String()+" "+l.GetMessage())
	}
	want := []string{"LOG_LEVEL_INFO plain", "LOG_LEVEL_ERROR deep", "LOG_LEVEL_DEBUG bad \uFFFD text"}
	if d := cmp.Diff(want, texts); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got[0].GetAttributes() != nil {
		t.Errorf("attributes from nowhere: %v", got[0].GetAttributes())
	}
	if d := cmp.Diff(map[string]string{"a": "1", "g.b": "true", "g.c": "x", "g.h.d": "boom", "g.e": "2"}, got[1].GetAttributes()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"k\uFFFD": "v\uFFFD"}, got[2].GetAttributes()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestNothingFollowsTheOutcome(t *testing.T) {
	var sent []string
	s := &stream{send: func(e *pluginpb.Event) error {
		switch {
		case e.GetOutcome() != nil:
			sent = append(sent, "outcome")
		default:
			sent = append(sent, "other")
		}
		return nil
	}}
	s.Progress(500, "working")
	if err := s.end(emptyOutcome()); err != nil {
		t.Fatal(err)
	}
	s.Progress(50, "late")
	s.Output("stdout", "late")
	slog.New(&logHandler{to: s}).Info("late")
	if err := s.Handle(call.Handle{ID: "late"}); err == nil {
		t.Error("a handle after the outcome is no error")
	}
	if d := cmp.Diff([]string{"other", "outcome"}, sent); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestCut(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"short":   {"line", "line"},
		"exact":   {strings.Repeat("x", MaxLine), strings.Repeat("x", MaxLine)},
		"long":    {strings.Repeat("x", MaxLine+5), strings.Repeat("x", MaxLine) + "… (5 bytes left out)"},
		"invalid": {"a\xffb", "a\uFFFDb"},
		"in a rune": {
			strings.Repeat("x", MaxLine-1) + "é" + "y", strings.Repeat("x", MaxLine-1) + "… (3 bytes left out)",
		},
	} {
		if got := cut(tt.in); got != tt.want {
			t.Errorf("%s: got %d bytes ending in %q", name, len(got), got[max(0, len(got)-40):])
		}
	}
}

func TestCancelFindsTheOperation(t *testing.T) {
	s, err := New(Config{Name: "test", Version: "0.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	one, stopOne := context.WithCancel(context.Background())
	two, stopTwo := context.WithCancel(context.Background())
	other, stopOther := context.WithCancel(context.Background())
	defer stopOther()
	done := []func(){s.track("k", stopOne), s.track("k", stopTwo), s.track("other", stopOther)}
	s.cancel("nobody")
	s.cancel("k")
	if one.Err() == nil || two.Err() == nil || other.Err() != nil {
		t.Errorf("cancelled: %v, %v, %v", one.Err(), two.Err(), other.Err())
	}
	for _, f := range done {
		f()
	}
	if len(s.cancels) > 0 {
		t.Errorf("left behind: %v", s.cancels)
	}
}
