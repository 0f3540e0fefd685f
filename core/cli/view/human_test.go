package view

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
)

// A run that is measured for weeks has many commands; those that ended are
// forgotten, whatever ended them.
func TestCommandsThatEndedAreForgotten(t *testing.T) {
	h := NewHuman(&bytes.Buffer{})
	ends := []kernel.Fact{
		kernel.CommandSucceeded{Command: 1}, kernel.CommandFailed{Command: 2}, kernel.CommandLost{Command: 3}, kernel.Judged{Command: 4},
		kernel.Decided{Command: 5}, kernel.Verified{Command: 6}, kernel.TargetObserved{Command: 7}, kernel.NodePlanned{Command: 8},
		kernel.LockTaken{Command: 9}, kernel.LockFreed{Command: 10}, kernel.CommandReconciled{Command: 11},
	}
	for i := range ends {
		h.Event(kernel.Event{At: 1, Fact: kernel.CommandIssued{Command: kernel.Command{ID: int64(i + 1), Kind: kernel.Measure, Node: "stage.web"}}})
	}
	for _, f := range ends {
		h.Event(kernel.Event{At: 2, Fact: f})
	}
	if len(h.commands) > 0 {
		t.Errorf("kept: %v", h.commands)
	}
}

func TestPeopleAreToldThatNobodyWatched(t *testing.T) {
	var out bytes.Buffer
	NewHuman(&out).Event(kernel.Event{At: 1, Fact: kernel.RunUnwatched{Span: kernel.Time((8 * time.Hour).Milliseconds())}})
	if !strings.Contains(out.String(), "nobody watched for 8h") {
		t.Errorf("it says %q", out.String())
	}
}
