//go:build unix

package completion_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
)

const pipeline = `pipeline "shop" {}

variable "tag" {
  default     = "v1"
  description = "Version to release."
}

environment "staging" {}

environment "prod" {
  after = [environment.staging]
}

stage "a" {
  use "local_noop" {}
}
`

// shell finds one, in a folder with a pipeline. There is none of PowerShell: its
// script is only read.
func shell(t *testing.T, name string) (program, dir string, env []string) {
	t.Helper()
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("presses Tab in real shells with the built program; run it with: make test-real")
	}
	program, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	dir = t.TempDir()
	for file, text := range map[string]string{"pipeline.hcl": pipeline, "plain.runnervars": "", filepath.Join("folder", "x"): ""} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := bin + string(os.PathListSeparator) + os.Getenv("PATH")
	return program, dir, []string{"PATH=" + path, "HOME=" + t.TempDir(), "TERM=xterm", "LC_ALL=C.UTF-8"}
}

// TestRealShellsComplete presses Tab where a line is to be completed, and lets the
// shell say what the line has become.
func TestRealShellsComplete(t *testing.T) {
	for _, sh := range []struct {
		name  string
		args  []string
		setup string
	}{
		{"bash", []string{"--norc", "--noprofile", "-i"}, "source <(runner completion bash)"},
		{"zsh", []string{"-f", "-i"}, "bindkey -e; unsetopt auto_remove_slash; autoload -Uz compinit && compinit -u -D && source <(runner completion zsh)"},
	} {
		t.Run(sh.name, func(t *testing.T) {
			program, dir, env := shell(t, sh.name)
			cmd := exec.CommandContext(t.Context(), program, sh.args...)
			cmd.Dir, cmd.Env = dir, env
			screen, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 200})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = screen.Close()
				_ = cmd.Wait()
			})
			if err := screen.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			shown := bufio.NewReader(screen)
			// What is typed is shown too; only what the shell says has no quotes in it.
			said := func(keys, mark string) string {
				t.Helper()
				if _, err := io.WriteString(screen, keys); err != nil {
					t.Fatal(err)
				}
				var all strings.Builder
				for {
					line, err := shown.ReadString('\n')
					all.WriteString(line)
					if err != nil {
						t.Fatalf("%q was not said: %v\n%s", mark, err, &all)
					}
					if _, text, ok := strings.Cut(ansi.Strip(line), mark); ok {
						return strings.TrimSpace(text)
					}
				}
			}
			if got := said(sh.setup+"; echo 're''ady:' $?\n", "ready:"); got != "0" {
				t.Fatalf("the script ended with %s", got)
			}
			for line, want := range map[string]string{
				"runner unlo":                       "runner unlock",
				"runner unlock pr":                  "runner unlock prod",
				"runner -chdir=folder/.. unlock st": "runner -chdir=folder/.. unlock staging",
				"runner apply -var=t":               "runner apply -var=tag=",
				"runner apply -paral":               "runner apply -parallelism=",
				"runner apply -var-file=pl":         "runner apply -var-file=plain.runnervars",
				"runner init -plugin-dir=fo":        "runner init -plugin-dir=folder/",
				"runner fmt pip":                    "runner fmt pipeline.hcl",
				"runner completion fi":              "runner completion fish",
			} {
				// Ctrl-A goes to the beginning of the line.
				if got := said(line+"\t\x01echo 'sa''id:' \n", "said:"); got != want {
					t.Errorf("%s<Tab> gives %q, want %q", line, got, want)
				}
			}
		})
	}
}

// fish says by itself what it would offer.
func TestRealFishCompletes(t *testing.T) {
	program, dir, env := shell(t, "fish")
	for line, want := range map[string]string{
		"runner ap":                         "apply\tRun the pipeline\napprove\tApprove what a run waits for\n",
		"runner unlock ":                    "prod\nstaging\n",
		"runner -chdir=folder/.. unlock st": "staging\n",
		"runner apply -var=t":               "-var=tag=\tVersion to release.\n",
		"runner apply -var-file=pl":         "-var-file=plain.runnervars\n",
		"runner init -plugin-dir=fo":        "-plugin-dir=folder/\tDirectory\n",
		"runner fmt pip":                    "pipeline.hcl\n",
		"runner fmt nothing":                "",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, program, "--no-config", "-c", "runner completion fish | source; complete -C $argv[1]", line)
		cmd.Dir, cmd.Env = dir, env
		got, err := cmd.CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("%v\n%s", err, got)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s<Tab> (-want +got):\n%s", line, diff)
		}
	}
}
