package main

import (
	"net"
	"testing"

	"github.com/runner-pipelines/runner/sdk/action/actiontest"
	"github.com/runner-pipelines/runner/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	actiontest.Run(t, actiontest.Suite{
		Subject: sdktest.Subject{
			Plugin: plugin(),
			Valid:  []sdktest.Config{{"address": listen(t)}},
			Invalid: []sdktest.Invalid{
				{Config: sdktest.Config{"address": "localhost"}, At: "address"},
				{Config: sdktest.Config{"address": "localhost:1", "within": "-1s"}, At: "within"},
			},
		},
		Fails: []sdktest.Config{{"address": "127.0.0.1:1", "within": "0s"}},
		Slow:  sdktest.Config{"address": "127.0.0.1:1", "within": "1h"},
	})
}

// listen is an address where somebody answers until the test ends.
func listen(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}
