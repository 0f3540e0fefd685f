package fake

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/grpc"

	"github.com/runner-pipelines/runner/sdk/internal/handshake"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
)

func registerFuture(s *grpc.Server) { pluginpb.RegisterPluginServiceServer(s, futureService{}) }

type futureService struct {
	pluginpb.UnimplementedPluginServiceServer
}

func (futureService) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	return &pluginpb.DescribeResponse{Name: "fake", Version: "9.0.0", Sdk: "go/9.0.0"}, nil
}

// serveGarbage greets as a plugin does and then talks nonsense. It does not return.
func serveGarbage() {
	path := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "garbage")
	l, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	cert, _ := pem.Decode([]byte(os.Getenv(handshake.EnvCertificate)))
	fmt.Printf("1|%d|unix|%s|grpc|%s\n", handshake.Protocol, path, base64.RawStdEncoding.EncodeToString(cert.Bytes))
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			for {
				if _, err := c.Write([]byte("\x00garbage\xff\n")); err != nil {
					return
				}
			}
		}()
	}
}
