package rollback

import (
	"context"

	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/runs"
)

func back(ctx context.Context, w *workspace.Workspace, rec runs.Record, opts *Options) error {
	return nil
}
