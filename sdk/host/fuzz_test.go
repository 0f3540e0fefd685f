package host

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/metricspb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/strategypb"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// FuzzResponses reads bytes as every kind of answer that a plugin gives.
func FuzzResponses(f *testing.F) {
	for _, m := range []proto.Message{
		&pluginpb.DescribeResponse{Name: "p", Version: "1.0.0", Limits: &pluginpb.Limits{MaxParallel: 1}, Components: []*pluginpb.Component{{
			Name: "c", Kind: wire.KindToPB(schema.KindTarget),
			Config: wire.SchemaToPB(schema.Schema{Attributes: []schema.Attribute{{Name: "a", Default: []byte(`1`)}}}),
			Target: wire.CapabilitiesToPB(target.Capabilities{SideBySide: true, Weights: target.PercentSteps, Step: 1}),
		}}},
		&strategypb.NextResponse{Why: "because", Memory: []byte("m")},
		&metricspb.MeasureResponse{}, &metricspb.PastResponse{},
		&pluginpb.Failure{Diagnostics: []*pluginpb.Diagnostic{{Summary: "s", Path: &pluginpb.Path{Steps: []*pluginpb.Step{{}}}}}},
		&pluginpb.Value{Json: []byte(`{"a":[1]}`), Unknown: []*pluginpb.Path{{Steps: []*pluginpb.Step{{}}}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(m proto.Message, use func()) {
			if proto.Unmarshal(b, m) == nil {
				use()
			}
		}
		about, next, measured := &pluginpb.DescribeResponse{}, &strategypb.NextResponse{}, &metricspb.MeasureResponse{}
		read(about, func() {
			d, err := describe(about)
			if (d == nil) == (err == nil) {
				t.Fatalf("description %v, error %v", d, err)
			}
			if d == nil {
				return
			}
			for _, c := range d.Components {
				c.Config.Check(value.Value{JSON: []byte(`{}`)})
				c.Config.Complete(value.Value{JSON: []byte(`{}`)})
			}
		})
		read(next, func() {
			if d, err := wire.DecisionFromPB(next); err == nil {
				if _, err := wire.DecisionToPB(d); err != nil {
					t.Fatalf("a decision was read and cannot be written: %v", err)
				}
			}
		})
		read(measured, func() {
			if m, err := wire.MeasurementFromPB(measured); err == nil {
				if _, err := wire.MeasurementToPB(m); err != nil {
					t.Fatalf("a measurement was read and cannot be written: %v", err)
				}
			}
		})
		past := &metricspb.PastResponse{}
		read(past, func() {
			if m, err := wire.PastFromPB(past); err == nil {
				if _, err := wire.PastToPB(m); err != nil {
					t.Fatalf("a past was read and cannot be written: %v", err)
				}
			}
		})
		failure, v, handle := &pluginpb.Failure{}, &pluginpb.Value{}, &pluginpb.Handle{}
		read(failure, func() { wire.FailureToPB(wire.FailureFromPB(failure)) })
		read(v, func() { wire.ValueToPB(wire.ValueFromPB(v)) })
		read(handle, func() { wire.HandleToPB(wire.HandleFromPB(handle)) })
		artifact, release := &pluginpb.Artifact{}, &pluginpb.Release{}
		read(artifact, func() { wire.ArtifactToPB(wire.ArtifactFromPB(artifact)) })
		read(release, func() { wire.ReleaseToPB(wire.ReleaseFromPB(release)) })
	})
}
