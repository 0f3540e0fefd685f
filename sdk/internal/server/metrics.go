package server

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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

func (m *metricsService) Past(ctx context.Context, req *metricspb.PastRequest) (*metricspb.PastResponse, error) {
	var out *metricspb.PastResponse
	_, failure, err := question(ctx, m.s, req.GetCall(), schema.KindMetrics, req.GetComponent(), "past", req.GetConfig(),
		func(ctx context.Context, c metrics.Metrics, r call.Request) error {
			h, ok := c.(metrics.Historian)
			if !ok {
				return status.Error(codes.Unimplemented, "it does not know the past")
			}
			past, err := h.Past(ctx, &metrics.PastRequest{
				Request: r, Release: wire.ReleaseFromPB(req.GetRelease()),
				From: wire.TimeFromPB(req.GetFrom()), To: wire.TimeFromPB(req.GetTo()), Window: wire.DurationFromPB(req.GetWindow()),
			})
			if err != nil {
				return err
			}
			out, err = wire.PastToPB(past)
			return err
		})
	if failure != nil {
		return &metricspb.PastResponse{Failure: failure}, nil
	}
	return out, err
}
