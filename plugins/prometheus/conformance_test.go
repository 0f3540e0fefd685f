package main

import (
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/metrics/metricstest"
	"github.com/runner-pipelines/runner/sdk/sdktest"
)

// TestConformance asks what needs no server; TestRealConformance asks the rest.
func TestConformance(t *testing.T) {
	const s = `up{release="$release"}`
	with := func(c sdktest.Config, key string, val any) sdktest.Config {
		out := sdktest.Config{key: val}
		for k, v := range c {
			if _, there := out[k]; !there {
				out[k] = v
			}
		}
		return out
	}
	gauge := sdktest.Config{"gauge": s}
	metricstest.Run(t, metricstest.Suite{Subject: sdktest.Subject{
		Plugin: plugin(),
		Valid: []sdktest.Config{
			{"total": s, "events": s},
			{"histogram": `latency_bucket{release="$release"}`},
			gauge,
			{"query": `sum(rate(up{release="$release"}[1m]))`, "step": "1s", "delay": "30s", "address": "https://prometheus.example.com/a"},
		},
		Invalid: []sdktest.Invalid{
			{Config: sdktest.Config{}, At: ""},
			{Config: sdktest.Config{"total": s}, At: "events"},
			{Config: sdktest.Config{"events": s}, At: "total"},
			{Config: sdktest.Config{"total": s, "events": `up{`}, At: "events"},
			{Config: sdktest.Config{"total": `rate(up[1m])`, "events": s}, At: "total"},
			{Config: with(gauge, "histogram", s), At: "gauge"},
			{Config: with(gauge, "query", s), At: "query"},
			{Config: sdktest.Config{"histogram": `up{release="$realease"}`}, At: "histogram"},
			{Config: sdktest.Config{"query": `sum(`}, At: "query"},
			{Config: with(gauge, "address", "prometheus:9090"), At: "address"},
			{Config: with(gauge, "address", "http://me:secret@prometheus:9090"), At: "address"},
			{Config: with(gauge, "address", "http://prometheus/?a=b"), At: "address"},
			{Config: with(gauge, "step", "1ms"), At: "step"},
			{Config: with(gauge, "delay", "-1s"), At: "delay"},
		},
	}})
}

// Candidate and stable measure the same: that is told, and allowed.
func TestNotToldApart(t *testing.T) {
	m := newMetric(&servers{})
	m.Gauge = `up{target="$target"}`
	p := diag.Of(m.Validate())
	if p == nil || len(p.Diagnostics) != 1 || p.Diagnostics[0].Severity != diag.Warning || p.Diagnostics[0].Path.String() != "gauge" || p.Diagnostics[0].Code != metrics.CodeNotApart {
		t.Errorf("it says %v", p)
	}
}

func TestPluginBlock(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"nothing", func(*Config) {}, ""},
		{"all", func(c *Config) {
			c.Address, c.BearerToken, c.Headers = "http://a", "b", map[string]string{"X-Scope-OrgID": "c"}
		}, ""},
		{"no address", func(c *Config) { c.Address = "localhost:9090" }, "address: Invalid address"},
		{"two logins", func(c *Config) { c.BearerToken, c.BasicAuth = "b", &BasicAuth{"me", "x"} }, "bearer_token: Two ways to log in"},
		{"the name of a file", func(c *Config) { c.CA = "/etc/ca.pem" }, `ca: Invalid certificates`},
		{"no header", func(c *Config) { c.Headers = map[string]string{"a b": "c"} }, "headers[\"a b\"]: Invalid header"},
		{"no time", func(c *Config) { c.Timeout = 0 }, "timeout: Invalid timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newConfig(&servers{})
			tt.change(c)
			if err := c.Validate(); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(diag.Of(err).Error(), tt.want)) {
				t.Errorf("it says %v, want %q", err, tt.want)
			}
		})
	}
}
