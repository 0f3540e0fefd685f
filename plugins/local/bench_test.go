//go:build unix

package main

import (
	"io"
	"net/http"
	"strconv"
	"testing"
)

// BenchmarkProxy compares requests to a replica itself with requests through
// the proxy, by clients that keep their connections.
func BenchmarkProxy(b *testing.B) {
	d := deploy(b, nil)
	if _, err := d.tryInstall("v1"); err != nil {
		b.Fatal(err)
	}
	if err := d.trySetWeight("v1", 100, ""); err != nil {
		b.Fatal(err)
	}
	s := d.state()
	for name, url := range map[string]string{
		"direct": "http://127.0.0.1:" + strconv.Itoa(s.Releases[0].Replicas[0].Port),
		"proxy":  "http://127.0.0.1:" + strconv.Itoa(s.Port),
	} {
		b.Run(name, func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					res, err := client.Get(url)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			})
		})
	}
}
