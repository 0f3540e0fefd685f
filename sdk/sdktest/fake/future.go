package fake

import (
	"context"

	"google.golang.org/grpc"

	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
)

func registerFuture(s *grpc.Server) { pluginpb.RegisterPluginServiceServer(s, futureService{}) }

type futureService struct {
	pluginpb.UnimplementedPluginServiceServer
}

func (futureService) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	return &pluginpb.DescribeResponse{Name: "fake", Version: "9.0.0", Sdk: "go/9.0.0"}, nil
}
