package lang

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Git is what is known about a repository.
type Git struct {
	Commit      string `json:"commit"`
	ShortCommit string `json:"short_commit"`
	// Branch is empty on a detached head; Tag is the tag of the commit or empty.
	Branch string `json:"branch"`
	Tag    string `json:"tag"`
	// Dirty says that tracked files differ from the commit.
	Dirty bool `json:"dirty"`
}

var (
	// ErrNoRepository means that the pipeline is in no git repository.
	ErrNoRepository = errors.New("the pipeline's directory is in no git repository")
	errNoCommit     = errors.New("the git repository has no commit yet")
	errNoGit        = errors.New("the program git was not found on this machine")
)

const (
	gitTimeout     = 20 * time.Second
	shortCommitLen = 7
)

func readGit(dir string, environ []string) (Git, error) {
	ctx, cancel := context.WithTimeout(context.Background(), gitTimeout)
	defer cancel()
	status, err := runGit(ctx, dir, environ, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
	if err != nil {
		return Git{}, err
	}
	var g Git
	for line := range strings.Lines(status) {
		line = strings.TrimSuffix(line, "\n")
		header, isHeader := strings.CutPrefix(line, "# ")
		if !isHeader {
			g.Dirty = true
			continue
		}
		switch name, v, _ := strings.Cut(header, " "); name {
		case "branch.oid":
			if v == "(initial)" {
				return Git{}, errNoCommit
			}
			g.Commit, g.ShortCommit = v, v[:min(shortCommitLen, len(v))]
		case "branch.head":
			if v != "(detached)" {
				g.Branch = v
			}
		}
	}
	if g.Commit == "" {
		return Git{}, fmt.Errorf("git status named no commit")
	}
	tags, err := runGit(ctx, dir, environ, "tag", "--points-at", "HEAD", "--sort=-version:refname")
	if err != nil {
		return Git{}, err
	}
	g.Tag, _, _ = strings.Cut(tags, "\n")
	return g, nil
}

// runGit runs one command that changes nothing. The repository's own
// configuration cannot make it run other programs.
func runGit(ctx context.Context, dir string, environ []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir, "-c", "core.fsmonitor=false"}, args...)...)
	cmd.Env = append(append([]string{}, environ...), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch said := strings.TrimSpace(stderr.String()); {
	case err == nil:
		return stdout.String(), nil
	case errors.Is(err, exec.ErrNotFound):
		return "", errNoGit
	case ctx.Err() != nil:
		return "", fmt.Errorf("git %s did not end within %s", args[0], gitTimeout)
	case strings.Contains(said, "not a git repository"):
		return "", ErrNoRepository
	case said != "":
		return "", fmt.Errorf("git %s failed: %s", args[0], said)
	}
	return "", fmt.Errorf("git %s: %w", args[0], err)
}
