package wire

import (
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/wire/metricspb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/strategypb"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// gen draws values of the public types.
type gen struct{ *rapid.T }

func (g gen) str() string       { return rapid.StringMatching(`[a-zé"\[\]. ]{0,6}`).Draw(g.T, "string") }
func (g gen) name() string      { return rapid.StringMatching(`[a-z]{1,8}`).Draw(g.T, "name") }
func (g gen) bytes() []byte     { return rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(g.T, "bytes") }
func (g gen) bool() bool        { return rapid.Bool().Draw(g.T, "bool") }
func (g gen) n(low, up int) int { return rapid.IntRange(low, up).Draw(g.T, "n") }

func (g gen) strs() []string { return many(g, g.str) }
func (g gen) labels() map[string]string {
	return rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(g.T, "labels")
}

func (g gen) time() time.Time {
	if g.bool() {
		return time.Time{}
	}
	return time.Unix(rapid.Int64Range(-1<<33, 1<<33).Draw(g.T, "seconds"), int64(g.n(0, 999_999_999))).UTC()
}

func (g gen) duration() time.Duration {
	return time.Duration(rapid.Int64().Draw(g.T, "duration"))
}

func many[T any](g gen, one func() T) []T {
	var out []T
	for range g.n(0, 3) {
		out = append(out, one())
	}
	return out
}

func one[T any](g gen, of ...T) T { return of[g.n(0, len(of)-1)] }

func (g gen) path() value.Path {
	return many(g, func() value.Step {
		if g.bool() {
			return value.Index(g.n(0, 1<<20))
		}
		return value.Name(g.str())
	})
}

func (g gen) value() value.Value {
	return value.Value{JSON: []byte(`{"a":null}`), Unknown: many(g, g.path), Sensitive: many(g, g.path)}
}

func (g gen) call() call.Call {
	return call.Call{
		Key: g.str(), Run: g.str(), Pipeline: g.str(), Node: g.str(), Environment: g.str(), Target: g.str(),
		Attempt: g.n(0, 99), Deadline: g.time(), Traceparent: g.str(), Tracestate: g.str(),
	}
}

func (g gen) artifact() call.Artifact {
	return call.Artifact{Digest: g.str(), MediaType: g.str(), URI: g.str(), Size: int64(g.n(0, math.MaxInt)), Labels: g.labels(), Path: g.str()}
}

func (g gen) release() target.Release {
	r := target.Release{ID: g.str(), Version: g.str(), Labels: g.labels(), Address: g.str(), Created: g.time()}
	if g.bool() {
		a := g.artifact()
		r.Artifact = &a
	}
	return r
}

func (g gen) diagnostics() diag.List {
	return many(g, func() diag.Diagnostic {
		return diag.Diagnostic{Severity: one(g, diag.Error, diag.Warning), Summary: g.str(), Detail: g.str(), Path: g.path(), Code: g.str()}
	})
}

func (g gen) schemaType(depth int) schema.Type {
	if depth > 3 {
		return schema.Primitive(schema.Any)
	}
	switch k := one(g, schema.Any, schema.String, schema.Number, schema.Integer, schema.Bool, schema.Duration, schema.Artifact, schema.List, schema.Map, schema.Object); k {
	case schema.List:
		return schema.ListOf(g.schemaType(depth + 1))
	case schema.Map:
		return schema.MapOf(g.schemaType(depth + 1))
	case schema.Object:
		t := schema.Type{Kind: schema.Object}
		for _, name := range g.names() {
			t.Fields = append(t.Fields, schema.Field{Name: name, Type: g.schemaType(depth + 1), Optional: g.bool()})
		}
		return t
	default:
		return schema.Primitive(k)
	}
}

func (g gen) names() []string {
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{3,8}`), 0, 4, func(s string) string { return s }).Draw(g.T, "names")
	return slices.DeleteFunc(names, func(s string) bool { return s == "any" })
}

func (g gen) schema(depth int) schema.Schema {
	s := schema.Schema{Doc: g.str(), Version: g.n(0, 5)}
	for _, name := range g.names() {
		if depth < 2 && g.bool() {
			b := schema.Block{Name: name, Nesting: one(g, schema.Single, schema.Many), Min: g.n(0, 2), Schema: g.schema(depth + 1)}
			if g.bool() {
				b.Max, b.Labels = b.Min+g.n(0, 2), []string{"a_label"}
			}
			s.Blocks = append(s.Blocks, b)
			continue
		}
		a := schema.Attribute{
			Name: name, Type: g.schemaType(0), Required: g.bool(), Sensitive: g.bool(), Known: g.bool(), Unique: g.bool(), Doc: g.str(), Deprecated: g.str(),
		}
		if a.Type.Kind == schema.Any {
			a.Default = json.RawMessage(`{"x":1}`)
		}
		s.Attributes = append(s.Attributes, a)
	}
	return s
}

func (g gen) capabilities() target.Capabilities {
	c := target.Capabilities{
		SideBySide: g.bool(), Weights: one(g, target.NoWeights, target.Switch, target.PercentSteps), Propagation: time.Duration(g.n(0, 1<<40)),
		ReleaseAddress: g.bool(), ReleaseMetrics: g.bool(), Capacity: g.bool(), Sticky: g.bool(), Mirror: g.bool(), HeaderRouting: g.bool(),
	}
	if c.Weights == target.PercentSteps {
		c.Step = target.Weight(g.n(1, int(target.Full)))
	}
	return c
}

func (g gen) verdict() strategy.Verdict {
	return strategy.Verdict{Value: one(g, strategy.NoAnalysis, strategy.Pass, strategy.Fail, strategy.Inconclusive), Since: g.time(), N: int64(g.n(0, math.MaxInt))}
}

func (g gen) answer() strategy.Answer {
	return strategy.Answer{Name: g.str(), Value: one(g, strategy.Unasked, strategy.Pending, strategy.Yes, strategy.No), Since: g.time()}
}

func (g gen) weight() target.Weight { return target.Weight(g.n(0, int(target.Full))) }

func (g gen) snapshot() strategy.Snapshot {
	return strategy.Snapshot{
		Rollout: g.str(), Wave: g.n(0, 9), Now: g.time(), FirstDeployment: g.bool(),
		Targets: many(g, func() strategy.Target {
			return strategy.Target{
				Name: g.str(), Capabilities: g.capabilities(), Stable: g.str(), Candidate: g.str(), Installed: g.bool(), Ready: g.bool(),
				Desired: g.weight(), Observed: g.weight(), Verified: g.bool(), Address: g.str(),
			}
		}),
		Steps: many(g, func() strategy.Step { return strategy.Step{ID: g.str(), Title: g.str(), At: g.time()} }),
		Harm:  g.verdict(), Step: g.verdict(), Approvals: many(g, g.answer), Verifications: many(g, g.answer),
		InFlight: g.strs(), LastFailure: g.str(), Memory: g.bytes(),
	}
}

func (g gen) decision() strategy.Decision {
	return strategy.Decision{
		StepID: g.str(), StepTitle: g.str(), Finish: g.bool(), Abort: g.str(), Memory: g.bytes(), Why: g.str(),
		Wait: strategy.Wait{Until: g.time(), Verdict: g.bool(), Approval: g.str(), Verification: g.str(), Ready: g.bool()},
		Changes: many(g, func() strategy.Change {
			c := strategy.Change{Target: g.str(), Kind: one(g, strategy.Install, strategy.SetWeight, strategy.Retire)}
			if c.Kind == strategy.SetWeight {
				c.Weight = g.weight()
			}
			return c
		}),
	}
}

func (g gen) measurement() metrics.Measurement {
	return metrics.Measurement{CompleteUntil: g.time(), Releases: many(g, func() metrics.Release {
		r := metrics.Release{ID: g.str()}
		switch g.n(0, 3) {
		case 0:
			r.Counter = &metrics.Counter{N: int64(g.n(-5, 5)), Events: int64(g.n(-5, 5))}
		case 1:
			bounds := rapid.SliceOfN(rapid.Float64(), 0, 3).Draw(g.T, "bounds")
			r.Histogram = &metrics.Histogram{Bounds: bounds, Counts: make([]int64, len(bounds)+1)}
		case 2:
			r.Samples = append([]float64{math.NaN(), math.Inf(-1)}, rapid.SliceOf(rapid.Float64()).Draw(g.T, "samples")...)
		default:
			r.NoData = g.name()
		}
		return r
	})}
}

// over sends a message through its bytes.
func over[M proto.Message](t *rapid.T, m M) M {
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out.(M)
}

func must[T any](t *rapid.T) func(T, error) T {
	return func(v T, err error) T {
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestWhatIsSentIsWhatArrives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := gen{t}
		same := func(what string, in, out any) {
			if d := cmp.Diff(in, out, cmpopts.EquateEmpty(), cmpopts.EquateNaNs(), cmpopts.IgnoreUnexported(diag.Problem{})); d != "" {
				t.Errorf("%s (-sent +arrived):\n%s", what, d)
			}
		}
		v := g.value()
		same("value", v, ValueFromPB(over(t, ValueToPB(v))))
		c := g.call()
		same("call", c, CallFromPB(over(t, CallToPB(c))))
		r := g.release()
		same("release", r, ReleaseFromPB(over(t, ReleaseToPB(r))))
		h := &call.Handle{ID: g.str(), Opaque: g.bytes()}
		same("handle", h, HandleFromPB(over(t, HandleToPB(h))))
		changes := []call.Change{{Action: one(g, call.Create, call.Update, call.Delete, call.Run), Subject: g.str(), Summary: g.str()}}
		same("changes", changes, ChangesFromPB(ChangesToPB(changes)))
		back := one(g, call.NoWayBack, call.BestEffort, call.Exact)
		same("way back", back, WayBackFromPB(WayBackToPB(back)))
		p := &diag.Problem{
			Diagnostics: append(g.diagnostics(), diag.Diagnostic{Severity: diag.Error, Summary: "s"}), Retry: one(g, diag.Never, diag.Safe, diag.Later),
			After: g.duration(), Effect: one(g, diag.Unknown, diag.None, diag.Done),
		}
		same("failure", p, FailureFromPB(over(t, FailureToPB(p))))
		level := one(g, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError)
		same("level", level, LevelFromPB(LogToPB(g.time(), level, "", nil, "").GetLevel()))

		s := g.schema(0)
		arrived := must[schema.Schema](t)(SchemaFromPB(over(t, SchemaToPB(s))))
		same("schema", s, arrived)
		same("digest", s.Digest(), arrived.Digest())
		kind := one(g, "", schema.KindAction, schema.KindTarget, schema.KindStrategy, schema.KindMetrics)
		same("kind", kind, must[schema.Kind](t)(KindFromPB(KindToPB(kind))))
		ops := []schema.Operation{{Name: g.str(), Class: one(g, schema.Convergent, schema.Once, schema.Read), Reconcile: g.bool()}}
		same("operations", ops, OperationsFromPB(OperationsToPB(ops)))
		caps := g.capabilities()
		same("capabilities", caps, must[target.Capabilities](t)(CapabilitiesFromPB(over(t, CapabilitiesToPB(caps)))))
		needs := strategy.Needs{SideBySide: g.bool(), Weights: one(g, target.NoWeights, target.Switch, target.PercentSteps), ReleaseAddress: g.bool(), ReleaseMetrics: g.bool()}
		same("needs", needs, NeedsFromPB(over(t, NeedsToPB(needs))))

		snap := g.snapshot()
		same("snapshot", snap, must[strategy.Snapshot](t)(SnapshotFromPB(over(t, SnapshotToPB(snap)), snap.Memory)))
		d := g.decision()
		same("decision", d, must[strategy.Decision](t)(DecisionFromPB(over(t, must[*strategypb.NextResponse](t)(DecisionToPB(d))))))
		m := g.measurement()
		same("measurement", m, must[metrics.Measurement](t)(MeasurementFromPB(over(t, must[*metricspb.MeasureResponse](t)(MeasurementToPB(m))))))
	})
}

func TestNilArrivesAsNothing(t *testing.T) {
	if v := ValueFromPB(nil); string(v.JSON) != "{}" {
		t.Errorf("no value was read as %s", v.JSON)
	}
	if HandleFromPB(nil) != nil || FailureFromPB(nil) != nil || FailureToPB(nil) != nil || HandleToPB(nil) != nil {
		t.Error("nil did not stay nil")
	}
	if c := CallFromPB(nil); !cmp.Equal(c, call.Call{}) {
		t.Errorf("no call was read as %+v", c)
	}
	if s, err := SchemaFromPB(nil); err != nil || s.Digest() != (schema.Schema{}).Digest() {
		t.Errorf("no schema was read as %+v, %v", s, err)
	}
	if s, err := SnapshotFromPB(nil, nil); err != nil || !cmp.Equal(s, strategy.Snapshot{}) {
		t.Errorf("no snapshot was read as %+v, %v", s, err)
	}
	if d, err := DecisionFromPB(nil); err != nil || !cmp.Equal(d, strategy.Decision{}) {
		t.Errorf("no decision was read as %+v, %v", d, err)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	deep := &pluginpb.Schema{}
	for range 40 {
		deep = &pluginpb.Schema{Blocks: []*pluginpb.Block{{Name: "b", Schema: deep}}}
	}
	attr := func(a ...*pluginpb.Attribute) *pluginpb.Schema { return &pluginpb.Schema{Attributes: a} }
	for name, s := range map[string]*pluginpb.Schema{
		"no name":       attr(&pluginpb.Attribute{Type: "string"}),
		"bad type":      attr(&pluginpb.Attribute{Name: "a", Type: "strin"}),
		"bad default":   attr(&pluginpb.Attribute{Name: "a", Type: "string", DefaultJson: []byte("5")}),
		"no JSON":       attr(&pluginpb.Attribute{Name: "a", Type: "any", DefaultJson: []byte("{")}),
		"twice":         attr(&pluginpb.Attribute{Name: "a", Type: "any"}, &pluginpb.Attribute{Name: "a", Type: "any"}),
		"deep":          deep,
		"counts":        {Blocks: []*pluginpb.Block{{Name: "b", Min: 2, Max: 1}}},
		"label is attr": {Blocks: []*pluginpb.Block{{Name: "b", Labels: []string{"a"}, Schema: attr(&pluginpb.Attribute{Name: "a", Type: "any"})}}},
	} {
		if got, err := SchemaFromPB(s); err == nil {
			t.Errorf("%s: the schema was read as %+v", name, got)
		}
	}
	for name, c := range map[string]*pluginpb.TargetCapabilities{
		"none":        nil,
		"no step":     {Weights: pluginpb.WeightKind_WEIGHT_KIND_PERCENT},
		"step":        {Weights: pluginpb.WeightKind_WEIGHT_KIND_PERCENT, WeightStep: 100_001},
		"propagation": {Propagation: durationpb.New(-1)},
	} {
		if got, err := CapabilitiesFromPB(c); err == nil {
			t.Errorf("%s: the capabilities were read as %+v", name, got)
		}
	}
	if k, err := KindFromPB(99); err == nil {
		t.Errorf("kind 99 was read as %q", k)
	}
	for name, r := range map[string]*strategypb.NextResponse{
		"empty change": {Changes: []*strategypb.TargetChange{{Target: "a"}}},
		"memory":       {Memory: make([]byte, strategy.MaxMemory+1)},
	} {
		if got, err := DecisionFromPB(r); err == nil {
			t.Errorf("%s: the decision was read as %+v", name, got)
		}
	}
	if _, err := DecisionToPB(strategy.Decision{Changes: []strategy.Change{{Kind: "explode"}}}); err == nil {
		t.Error("a change of kind explode was written")
	}
	for name, s := range map[string]*strategypb.Snapshot{
		"verdict": {Harm: &strategypb.Verdict{Value: 9}}, "step": {Step: &strategypb.Verdict{Value: 9}},
		"approval": {Approvals: []*strategypb.Answer{{Value: 9}}}, "verification": {Verifications: []*strategypb.Answer{{Value: 9}}},
		"target": {Targets: []*strategypb.TargetState{{}}},
	} {
		if got, err := SnapshotFromPB(s, nil); err == nil {
			t.Errorf("%s: the snapshot was read as %+v", name, got)
		}
	}
	for name, r := range map[string]metrics.Release{
		"nothing": {ID: "a"}, "two": {Counter: &metrics.Counter{}, NoData: "x"}, "histogram": {Histogram: &metrics.Histogram{Counts: []int64{1, 2}}},
	} {
		if _, err := MeasurementToPB(metrics.Measurement{Releases: []metrics.Release{r}}); err == nil {
			t.Errorf("%s: the measurement was written", name)
		}
	}
	if got, err := MeasurementFromPB(&metricspb.MeasureResponse{Releases: []*metricspb.ReleaseMeasurement{{Release: "a"}}}); err == nil {
		t.Errorf("a release without data was read as %+v", got)
	}
	if at := TimeFromPB(&timestamppb.Timestamp{Seconds: math.MaxInt64}); !at.IsZero() {
		t.Errorf("a moment outside of time was read as %v", at)
	}
}

func TestAFailureAlwaysSaysSomething(t *testing.T) {
	warning := diag.List{{Severity: diag.Warning, Summary: "w"}}
	for name, p := range map[string]*diag.Problem{
		"read":    FailureFromPB(&pluginpb.Failure{}),
		"written": FailureFromPB(FailureToPB(&diag.Problem{Diagnostics: warning})),
	} {
		if !p.Diagnostics.HasErrors() || p.Retry != diag.Never || p.Effect != diag.Unknown {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// Equal decisions are equal bytes: the library promises an order only for
// messages without maps.
func TestDecisionsHoldNoMaps(t *testing.T) {
	var walk func(protoreflect.MessageDescriptor, []protoreflect.FullName)
	walk = func(m protoreflect.MessageDescriptor, outer []protoreflect.FullName) {
		if slices.Contains(outer, m.FullName()) {
			return
		}
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			if f.IsMap() {
				t.Errorf("%s is a map", f.FullName())
			}
			if f.Message() != nil {
				walk(f.Message(), append(outer, m.FullName()))
			}
		}
	}
	walk((&strategypb.NextResponse{}).ProtoReflect().Descriptor(), nil)
	walk((&strategypb.Snapshot{}).ProtoReflect().Descriptor(), nil)
}
