package follow_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/follow"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

// followed is a run that is written bit by bit, and who follows it.
type followed struct {
	t       *testing.T
	store   *memstore.Store
	journal *journal.Journal
	run     *follow.Run
	records []json.RawMessage
	events  []string
	lines   []string
}

// begin writes the first n records of the run that the board's tests use.
func begin(t *testing.T, n int) *followed {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "board", "testdata", "run.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	fl := &followed{t: t, store: memstore.New()}
	graph := kernel.Graph{}
	for in := bufio.NewScanner(f); in.Scan(); {
		if len(graph.Nodes) == 0 {
			if err := json.Unmarshal(in.Bytes(), &graph); err != nil {
				t.Fatal(err)
			}
			continue
		}
		fl.records = append(fl.records, slices.Clone(in.Bytes()))
	}
	rec := runs.Record{ID: "r1"}
	if fl.journal, err = journal.Create(t.Context(), fl.store, rec.ID, time.Now(), fl.records[:n]); err != nil {
		t.Fatal(err)
	}
	fl.records = fl.records[n:]
	fl.run = follow.From(&workspace.Workspace{Store: fl.store}, rec, &drive.History{State: kernel.New(&graph)})
	return fl
}

// goOn writes the rest.
func (fl *followed) goOn() {
	fl.t.Helper()
	if err := fl.journal.Append(fl.t.Context(), time.Now(), fl.records); err != nil {
		fl.t.Fatal(err)
	}
}

func (fl *followed) poll() error {
	return fl.run.Poll(fl.t.Context(),
		func(e kernel.Event) { fl.events = append(fl.events, e.Fact.FactType()) },
		func(_ kernel.Command, l logs.Line) { fl.lines = append(fl.lines, l.Message) })
}

func (fl *followed) mustPoll() {
	fl.t.Helper()
	if err := fl.poll(); err != nil {
		fl.t.Fatal(err)
	}
}

func (fl *followed) log(command, text string) {
	fl.t.Helper()
	w := logs.NewWriter(fl.store, "r1", command)
	w.Write(logs.Line{Message: text})
	if _, err := w.Close(fl.t.Context()); err != nil {
		fl.t.Fatal(err)
	}
}

func TestEverythingIsToldOnce(t *testing.T) {
	fl := begin(t, 30)
	all := 30 + len(fl.records)
	fl.mustPoll()
	fl.mustPoll()
	if len(fl.events) != 30 {
		t.Errorf("%d events after the first part, want 30", len(fl.events))
	}
	fl.goOn()
	fl.mustPoll()
	if len(fl.events) != all || fl.run.State().Outcome() != kernel.Failed {
		t.Errorf("%d of %d events, outcome %q", len(fl.events), all, fl.run.State().Outcome())
	}
}

func TestLogsAreToldAsTheyCome(t *testing.T) {
	fl := begin(t, 30)
	fl.mustPoll()
	under := fl.run.State().InFlight()
	if len(under) == 0 {
		t.Fatal("nothing is under way")
	}
	id := strings.TrimSpace(string(must(json.Marshal(under[0].ID))))
	fl.log(id, "one")
	fl.mustPoll()
	fl.log(id, "two")
	fl.goOn()
	fl.mustPoll()
	if diff := cmp.Diff([]string{"one", "two"}, fl.lines); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What has ended is looked at no more, or who follows a long run would look at
// thousands of logs several times a second.
func TestLogsOfWhatHasEndedAreLeft(t *testing.T) {
	fl := begin(t, 30)
	fl.goOn()
	fl.mustPoll()
	looked := 0
	fl.store.Before = func(op memstore.Op) error {
		if strings.Contains(op.Key, "/logs/") {
			looked++
		}
		return nil
	}
	fl.mustPoll()
	if looked != 0 {
		t.Errorf("%d logs were looked at after the run had ended", looked)
	}
}

func TestAFactOfANewerRunnerIsNamed(t *testing.T) {
	fl := begin(t, 30)
	fl.records = []json.RawMessage{json.RawMessage(`{"t":"moon.landed","at":1795409460000,"d":{}}`)}
	fl.goOn()
	err := fl.poll()
	var newer *drive.NewerError
	if !errors.As(err, &newer) {
		t.Errorf("error is %v", err)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
