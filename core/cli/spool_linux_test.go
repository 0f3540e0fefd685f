package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/spool"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/store/sqlite"
)

// interrupted is a folder with a run that stands halfway, and what its process
// recorded beside the state: one remark behind the journal's segment that is
// behind many from its end.
func interrupted(t *testing.T, behind int) (dir string, kept *spool.Spool) {
	t.Helper()
	dir = killedDir(t)
	inDir(t, dir, "apply", "-auto-approve", "-var", "version=one")
	cmd := start(t, dir, "apply", "-auto-approve", "-var", "version=two")
	waitFor(t, "half of the traffic is with the candidate", func() bool { return halfway(dir) })
	sendTo(t, cmd, os.Interrupt)
	wantExit(t, cmd, command.Interrupted, awaitDeadline)

	st, err := sqlite.Open(t.Context(), filepath.Join(dir, ".runner", "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	rec, err := runs.New(st).Find(t.Context(), "latest")
	if err != nil {
		t.Fatal(err)
	}
	var heads []journal.Head
	if _, err := journal.Open(t.Context(), st, rec.ID, func(s journal.Segment) error {
		heads = append(heads, s.Head)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if kept, err = spool.Open(filepath.Join(dir, ".runner", "spool"), rec.ID); err != nil {
		t.Fatal(err)
	}
	j := journal.At(st, rec.ID, heads[len(heads)-1-behind])
	j.Divert(kept)
	ev, err := kernel.Event{At: kernel.TimeOf(time.Now()), Fact: kernel.Noted{Text: "written beside the state"}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), time.Now(), []json.RawMessage{ev}); err != nil || kept.Err() != nil {
		t.Fatal(err, kept.Err())
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, kept
}

func TestAnyLookAtARunBringsWhatWasKeptBesideTheState(t *testing.T) {
	t.Parallel()
	dir, kept := interrupted(t, 0)
	if out := inDir(t, dir, "show"); !bytes.Contains(out, []byte("written beside the state")) {
		t.Errorf("the run shows\n%s", out)
	}
	if _, err := os.Stat(kept.Path()); err == nil {
		t.Error("the file is still there")
	}
	inDir(t, dir, "resume")
}

// Another process has taken over the run while its own one wrote beside the
// state: the journal has the say, the file stays, and both are named.
func TestARunThatWentOnElsewhere(t *testing.T) {
	t.Parallel()
	dir, kept := interrupted(t, 1)
	status := runnerIn(t, dir, "status")
	out := outputOf(status)
	if err := status.Run(); err != nil {
		t.Fatalf("runner status: %v\n%s", err, out)
	}
	says(t, out, "goes on otherwise", "That file is left out", "runner resume")
	resume := runnerIn(t, dir, "resume")
	out = outputOf(resume)
	if err := resume.Start(); err != nil {
		t.Fatal(err)
	}
	ends(t, resume, out, command.Failed)
	says(t, out, "Error: Run went on elsewhere", kept.Path(), "mv ")
	if err := os.Rename(kept.Path(), kept.Path()+".kept"); err != nil {
		t.Fatal(err)
	}
	inDir(t, dir, "resume")
}

func TestADamagedRecordBesideTheStateIsNamed(t *testing.T) {
	t.Parallel()
	dir, kept := interrupted(t, 0)
	b, err := os.ReadFile(kept.Path())
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, b...) // so that there is something behind the byte
	b[40] ^= 1
	if err := os.WriteFile(kept.Path(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	resume := runnerIn(t, dir, "resume")
	out := outputOf(resume)
	if err := resume.Start(); err != nil {
		t.Fatal(err)
	}
	ends(t, resume, out, command.Failed)
	says(t, out, "is damaged", kept.Path(), "has other bytes at 0")
	inDir(t, dir, "status")
}
