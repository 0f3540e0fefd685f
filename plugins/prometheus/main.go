// Command runner-plugin-prometheus measures releases by what a Prometheus, or
// another server with its API, has scraped of them.
package main

import (
	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/metrics"
)

// version is set by the build.
var version = "0.1.0"

func plugin() sdk.Plugin {
	servers := &servers{}
	const forProxies, forCertificates = "a proxy on the way to the server", "which certificates are trusted"
	return sdk.Plugin{
		Name:    "prometheus",
		Version: version,
		Config:  func() sdk.Configurer { return newConfig(servers) },
		Env: map[string]string{
			"HTTP_PROXY": forProxies, "HTTPS_PROXY": forProxies, "NO_PROXY": forProxies,
			"SSL_CERT_FILE": forCertificates, "SSL_CERT_DIR": forCertificates,
		},
		Metrics: map[string]func() metrics.Metrics{
			"prometheus": func() metrics.Metrics { return newMetric(servers) },
		},
	}
}

func main() { sdk.Serve(plugin()) }
