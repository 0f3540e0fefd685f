package server

import (
	"context"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/metricspb"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/schema"
)

type metricsService struct {
	metricspb.UnimplementedMetricsServiceServer
	s *Server
}

func (m *metricsService) Measure(ctx context.Context, req *metricspb.MeasureRequest) (*metricspb.MeasureResponse, error) {
	var out *metricspb.MeasureResponse
	_, failure, err := question(ctx, m.s, req.GetCall(), schema.KindMetrics, req.GetComponent(), "measure", req.GetConfig(),
		func(ctx context.Context, c metrics.Metrics, r call.Request) error {
			measured, err := c.Measure(ctx, &metrics.Request{
				Request: r, Releases: wire.ReleasesFromPB(req.GetReleases()),
				From: wire.TimeFromPB(req.GetFrom()), To: wire.TimeFromPB(req.GetTo()),
			})
			if err != nil {
				return err
			}
			out, err = wire.MeasurementToPB(measured)
			return err
		})
	if failure != nil {
		return &metricspb.MeasureResponse{Failure: failure}, nil
	}
	return out, err
}
