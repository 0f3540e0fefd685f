package planning

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/internal/regular"
	"github.com/runner-pipelines/runner/core/plan"
)

// File reads the plan file that is named; nil when there is no such file.
func File(env *command.Env, name string) (*plan.Plan, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(env.Dir, path)
	}
	b, err := regular.Read(path, plan.MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := plan.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}
