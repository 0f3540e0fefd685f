package host_test

import (
	"context"
	"testing"

	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/value"
)

// BenchmarkLaunch is from nothing to the first answer, and the end.
func BenchmarkLaunch(b *testing.B) {
	cfg := config(b)
	for b.Loop() {
		p, err := host.Start(context.Background(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		p.Stop(0)
		b.StartTimer()
	}
}

// BenchmarkUnary is the cheapest question, BenchmarkRun the cheapest operation.
func BenchmarkUnary(b *testing.B) {
	p := start(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Validate(context.Background(), "action", "fake_plain", value.Empty()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	p := start(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.RunAction(context.Background(), key(), "fake_run", value.Empty(), nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRunParallel(b *testing.B) {
	p := start(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := p.RunAction(context.Background(), key(), "fake_run", value.Empty(), nil, nil); err != nil {
				b.Error(err)
			}
		}
	})
}
