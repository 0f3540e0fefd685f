package server

import (
	"context"
	"log/slog"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/strategypb"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

type strategyService struct {
	strategypb.UnimplementedStrategyServiceServer
	s *Server
}

func (st *strategyService) Next(_ context.Context, req *strategypb.NextRequest) (*strategypb.NextResponse, error) {
	out, err := guarded("next", slog.Default(), func() (*strategypb.NextResponse, error) {
		c, _, err := component[strategy.Strategy](st.s, schema.KindStrategy, req.GetComponent(), "next", req.GetConfig(), true)
		if err != nil {
			return nil, err
		}
		snapshot, err := wire.SnapshotFromPB(req.GetSnapshot(), req.GetMemory())
		if err != nil {
			return nil, diag.New("Snapshot not understood", "The runner told the strategy what it does not know: %v. The plugin may be too old for this runner.", err)
		}
		d, err := c.Next(snapshot)
		if err != nil {
			return nil, err
		}
		if n := len(d.Memory); n > strategy.MaxMemory {
			return nil, diag.New("Strategy remembers too much", "Its memory has %d bytes; at most %d are kept. This is a mistake in the plugin.", n, strategy.MaxMemory)
		}
		return wire.DecisionToPB(d)
	})
	if r, ok := refused(err); ok {
		return nil, r
	}
	if err != nil {
		return &strategypb.NextResponse{Diagnostics: wire.FailureToPB(diag.Of(err)).GetDiagnostics()}, nil
	}
	return out, nil
}
