package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/internal/smalldisk"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
	"github.com/runner-pipelines/runner/sdk/target"
)

// diskDir is a folder with a pipeline whose state lies on a file system of its
// own, with a first release in place.
func diskDir(t *testing.T) (dir, data string) {
	t.Helper()
	dir = killedDir(t)
	data = filepath.Join(dir, ".runner")
	kept := t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	smalldisk.Mount(t, data, "4m")
	if err := os.CopyFS(data, os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	t.Setenv(workspace.DataDirEnv, data)
	inDir(t, dir, "apply", "-auto-approve", "-var", "version=one")
	return dir, data
}

// outputOf collects what a process says, for when it has ended.
func outputOf(cmd *exec.Cmd) *bytes.Buffer {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return &out
}

// ends waits for a process and compares its exit code.
func ends(t *testing.T, cmd *exec.Cmd, out *bytes.Buffer, code int) {
	t.Helper()
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("exit code %d, want %d\n%s", got, code, out)
	}
}

func says(t *testing.T, out *bytes.Buffer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(out.String(), text) {
			t.Errorf("it does not say %q:\n%s", text, out)
		}
	}
}

func stateOf(t *testing.T, dir string) fake.State {
	t.Helper()
	s, err := fake.ReadState(filepath.Join(dir, "web.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// isBack makes sure that the first release has all the traffic and stands alone.
func isBack(t *testing.T, dir string) {
	t.Helper()
	s := stateOf(t, dir)
	want := map[string]target.Weight{s.Stable: target.Full}
	if diff := cmp.Diff(want, s.Weights); diff != "" || len(s.Releases) != 1 {
		t.Errorf("%d releases are left, weights (-want +got):\n%s", len(s.Releases), diff)
	}
}

// The disk is full in the middle of a rollout: it goes back, and the room that was
// reserved holds the record.
func TestAFullDiskTakesTheRolloutBack(t *testing.T) {
	smalldisk.Inside(t, func(t *testing.T) {
		dir, data := diskDir(t)
		cmd := runnerIn(t, dir, "apply", "-auto-approve", "-var", "version=two")
		out := outputOf(cmd)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		waitFor(t, "half of the traffic is with the candidate", func() bool { return halfway(dir) })
		free := smalldisk.Fill(t, filepath.Join(data, "filler"))
		full := time.Now()
		ends(t, cmd, out, command.Failed)
		took := time.Since(full)
		isBack(t, dir)
		says(t, out, "Error: State cannot be written", "no space left for the state", "Make room on the disk", "gave all traffic back", "is recorded in", "runner resume")

		// Nothing can go forward meanwhile, and everything says why.
		second := runnerIn(t, dir, "apply", "-auto-approve", "-var", "version=three")
		told := outputOf(second)
		if err := second.Run(); err == nil {
			t.Error("a run began on a full disk")
		}
		says(t, told, "no space left")

		free()
		resume := runnerIn(t, dir, "resume")
		out = outputOf(resume)
		if err := resume.Start(); err != nil {
			t.Fatal(err)
		}
		ends(t, resume, out, command.RolledBack)
		isBack(t, dir)
		if got := endOf(t, dir); got.Outcome != kernel.RolledBack {
			t.Errorf("it ended as %+v", got)
		}
		spools, err := filepath.Glob(filepath.Join(data, "spool", "*"))
		if err != nil || len(spools) > 0 {
			t.Errorf("left behind: %v, error %v", spools, err)
		}
		// The state is whole: the next run goes through.
		inDir(t, dir, "apply", "-auto-approve", "-var", "version=four")
		figures.Record(t, "The state away", "disk full in the middle of a canary: the stable release has all traffic after", "%.0f s", took.Seconds())
	})
}

// leftHalfway is a folder with a rollout that was ended by a signal at half of the
// traffic.
func leftHalfway(t *testing.T, sig os.Signal) (dir, data string) {
	t.Helper()
	dir, data = diskDir(t)
	cmd := start(t, dir, "apply", "-auto-approve", "-var", "version=two")
	waitFor(t, "half of the traffic is with the candidate", func() bool { return halfway(dir) })
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return dir, data
}

// goesBackUnrecorded takes a rollout back that the state has no record of.
func goesBackUnrecorded(t *testing.T, dir string) *bytes.Buffer {
	t.Helper()
	back := runnerIn(t, dir, "rollback")
	out := outputOf(back)
	if err := back.Start(); err != nil {
		t.Fatal(err)
	}
	ends(t, back, out, command.Failed)
	isBack(t, dir)
	return out
}

// A rollout that was killed, or left by Ctrl-C, stands halfway; then the disk is
// full. runner rollback takes it back all the same.
func TestRollbackOnAFullDisk(t *testing.T) {
	smalldisk.Inside(t, func(t *testing.T) {
		for name, sig := range map[string]os.Signal{"killed": os.Kill, "interrupted": os.Interrupt} {
			t.Run(name, func(t *testing.T) {
				dir, data := leftHalfway(t, sig)
				free := smalldisk.Fill(t, filepath.Join(data, "filler"))
				out := goesBackUnrecorded(t, dir)
				says(t, out, "Error: State cannot be written", "all traffic is with the stable release again")
				free()
				inDir(t, dir, "rollback")
				isBack(t, dir)
				if got := endOf(t, dir); got.Outcome != kernel.RolledBack {
					t.Errorf("it ended as %+v", got)
				}
			})
		}
	})
}

// Where nothing can be written at all, a rollout that stands halfway can be looked
// at and taken back.
func TestRollbackOnAReadOnlyDisk(t *testing.T) {
	smalldisk.Inside(t, func(t *testing.T) {
		for name, sig := range map[string]os.Signal{"killed": os.Kill, "interrupted": os.Interrupt} {
			t.Run(name, func(t *testing.T) {
				dir, data := leftHalfway(t, sig)
				waitFor(t, "nobody writes to the disk", func() bool { return smalldisk.TryReadOnly(data) == nil })
				status := string(inDir(t, dir, "status"))
				if !strings.Contains(status, "open, and nobody drives it") {
					t.Errorf("the status says\n%s", status)
				}
				out := goesBackUnrecorded(t, dir)
				says(t, out, "Error: State cannot be written", "is recorded nowhere", "Make the folder writable")
				smalldisk.ReadOnly(t, data, false)
				inDir(t, dir, "cancel")
				isBack(t, dir)
			})
		}
	})
}
