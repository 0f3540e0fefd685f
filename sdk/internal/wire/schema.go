package wire

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

var nestings = newEnum("nesting", pluginpb.Nesting_NESTING_SINGLE, map[schema.Nesting]pluginpb.Nesting{
	schema.Single: pluginpb.Nesting_NESTING_SINGLE,
	schema.Many:   pluginpb.Nesting_NESTING_LIST,
})

func SchemaToPB(s schema.Schema) *pluginpb.Schema {
	return &pluginpb.Schema{
		Doc: s.Doc, Version: int32(s.Version),
		Attributes: list(s.Attributes, func(a schema.Attribute) *pluginpb.Attribute {
			return &pluginpb.Attribute{
				Name: a.Name, Type: a.Type.String(), Required: a.Required, DefaultJson: a.Default, Sensitive: a.Sensitive,
				Known: a.Known, Unique: a.Unique, Doc: a.Doc, Deprecated: a.Deprecated,
			}
		}),
		Blocks: list(s.Blocks, func(b schema.Block) *pluginpb.Block {
			return &pluginpb.Block{
				Name: b.Name, Labels: b.Labels, Nesting: nestings.toPB(b.Nesting), Min: int32(b.Min), Max: int32(b.Max),
				Schema: SchemaToPB(b.Schema),
			}
		}),
	}
}

// maxBlockDepth limits what a plugin may nest.
const maxBlockDepth = 32

// SchemaFromPB fails when the schema cannot be used: no names, twice the same
// name, types that do not parse, blocks that nest too deep.
func SchemaFromPB(s *pluginpb.Schema) (schema.Schema, error) { return schemaFromPB(s, 0) }

func schemaFromPB(s *pluginpb.Schema, depth int) (schema.Schema, error) {
	out := schema.Schema{Doc: s.GetDoc(), Version: int(s.GetVersion())}
	if depth > maxBlockDepth {
		return out, fmt.Errorf("blocks are nested deeper than %d levels", maxBlockDepth)
	}
	seen := map[string]bool{}
	named := func(what, name string) error {
		if name == "" {
			return fmt.Errorf("%s has no name", what)
		}
		if seen[name] {
			return fmt.Errorf("%q stands twice", name)
		}
		seen[name] = true
		return nil
	}
	for _, a := range s.GetAttributes() {
		if err := named("an attribute", a.GetName()); err != nil {
			return out, err
		}
		t, err := schema.ParseType(a.GetType())
		if err != nil {
			return out, fmt.Errorf("attribute %q: %w", a.GetName(), err)
		}
		attr := schema.Attribute{
			Name: a.GetName(), Type: t, Required: a.GetRequired(), Sensitive: a.GetSensitive(), Known: a.GetKnown(),
			Unique: a.GetUnique(), Doc: a.GetDoc(), Deprecated: a.GetDeprecated(),
		}
		if len(a.GetDefaultJson()) > 0 {
			attr.Default = a.GetDefaultJson()
			if err := schema.CheckValue(t, attr.Default); err != nil {
				return out, fmt.Errorf("default of attribute %q: %w", a.GetName(), err)
			}
		}
		out.Attributes = append(out.Attributes, attr)
	}
	for _, b := range s.GetBlocks() {
		if err := named("a block", b.GetName()); err != nil {
			return out, err
		}
		if b.GetMin() < 0 || b.GetMax() < 0 || b.GetMax() > 0 && b.GetMax() < b.GetMin() {
			return out, fmt.Errorf("block %q: there cannot be %d to %d", b.GetName(), b.GetMin(), b.GetMax())
		}
		inner, err := schemaFromPB(b.GetSchema(), depth+1)
		if err != nil {
			return out, fmt.Errorf("block %q: %w", b.GetName(), err)
		}
		block := schema.Block{
			Name: b.GetName(), Labels: b.GetLabels(), Nesting: nestings.fromPB(b.GetNesting()),
			Min: int(b.GetMin()), Max: int(b.GetMax()), Schema: inner,
		}
		for _, label := range block.Labels {
			_, attr := inner.Attribute(label)
			_, nested := inner.Block(label)
			if label == "" || attr || nested {
				return out, fmt.Errorf("block %q: the label %q has no name of its own", b.GetName(), label)
			}
		}
		out.Blocks = append(out.Blocks, block)
	}
	return out, nil
}

var kinds = newEnum("kind", pluginpb.Kind_KIND_UNSPECIFIED, map[schema.Kind]pluginpb.Kind{
	"":                  pluginpb.Kind_KIND_UNSPECIFIED,
	schema.KindAction:   pluginpb.Kind_KIND_ACTION,
	schema.KindTarget:   pluginpb.Kind_KIND_TARGET,
	schema.KindStrategy: pluginpb.Kind_KIND_STRATEGY,
	schema.KindMetrics:  pluginpb.Kind_KIND_METRICS,
})

func KindToPB(k schema.Kind) pluginpb.Kind { return kinds.toPB(k) }

// KindFromPB fails for a kind that this side does not know. Empty is the plugin block.
func KindFromPB(k pluginpb.Kind) (schema.Kind, error) { return kinds.strict(k) }

var classes = newEnum("class", pluginpb.Class_CLASS_ONCE, map[schema.Class]pluginpb.Class{
	schema.Convergent: pluginpb.Class_CLASS_CONVERGENT,
	schema.Once:       pluginpb.Class_CLASS_ONCE,
	schema.Read:       pluginpb.Class_CLASS_READ,
})

func OperationsToPB(ops []schema.Operation) []*pluginpb.Operation {
	return list(ops, func(o schema.Operation) *pluginpb.Operation {
		return &pluginpb.Operation{Name: o.Name, Class: classes.toPB(o.Class), Reconcile: o.Reconcile}
	})
}

// OperationsFromPB reads a class it does not know as once.
func OperationsFromPB(ops []*pluginpb.Operation) []schema.Operation {
	return list(ops, func(o *pluginpb.Operation) schema.Operation {
		return schema.Operation{Name: o.GetName(), Class: classes.fromPB(o.GetClass()), Reconcile: o.GetReconcile()}
	})
}

var weightKinds = newEnum("way of dividing traffic", pluginpb.WeightKind_WEIGHT_KIND_NONE, map[target.WeightKind]pluginpb.WeightKind{
	target.NoWeights:    pluginpb.WeightKind_WEIGHT_KIND_NONE,
	target.Switch:       pluginpb.WeightKind_WEIGHT_KIND_SWITCH,
	target.PercentSteps: pluginpb.WeightKind_WEIGHT_KIND_PERCENT,
})

// CapabilitiesToPB writes weights that are not set as none.
func CapabilitiesToPB(c target.Capabilities) *pluginpb.TargetCapabilities {
	return &pluginpb.TargetCapabilities{
		SideBySide: c.SideBySide, Weights: weightKinds.toPB(c.Weights), WeightStep: int32(c.Step), Propagation: DurationToPB(c.Propagation),
		ReleaseAddress: c.ReleaseAddress, ReleaseMetrics: c.ReleaseMetrics, Capacity: c.Capacity, Sticky: c.Sticky,
		Mirror: c.Mirror, HeaderRouting: c.HeaderRouting, Metrics: readyToPB(c.Metrics),
	}
}

func readyToPB(all map[string]target.ReadyMetric) []*pluginpb.ReadyMetric {
	var out []*pluginpb.ReadyMetric
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		pb := &pluginpb.ReadyMetric{Name: name, Component: m.Component, Better: m.Better}
		for _, attr := range slices.Sorted(maps.Keys(m.Config)) {
			pb.Config = append(pb.Config, &pluginpb.ReadyAttribute{Name: attr, Value: m.Config[attr]})
		}
		out = append(out, pb)
	}
	return out
}

func readyFromPB(all []*pluginpb.ReadyMetric) (map[string]target.ReadyMetric, error) {
	if len(all) == 0 {
		return nil, nil
	}
	out := map[string]target.ReadyMetric{}
	for _, m := range all {
		if better := m.GetBetter(); better != "lower" && better != "higher" && better != "same" {
			return nil, fmt.Errorf("of the ready-made metric %q neither lower nor higher nor same values are better, but %q", m.GetName(), better)
		}
		if _, twice := out[m.GetName()]; twice || m.GetName() == "" || m.GetComponent() == "" {
			return nil, fmt.Errorf("a ready-made metric needs a component, and a name of its own: %q", m.GetName())
		}
		one := target.ReadyMetric{Component: m.GetComponent(), Better: m.GetBetter()}
		for _, attr := range m.GetConfig() {
			if one.Config == nil {
				one.Config = map[string]string{}
			}
			one.Config[attr.GetName()] = attr.GetValue()
		}
		out[m.GetName()] = one
	}
	return out, nil
}

// CapabilitiesFromPB fails when a weight's step makes no sense.
func CapabilitiesFromPB(c *pluginpb.TargetCapabilities) (target.Capabilities, error) {
	if c == nil {
		return target.Capabilities{}, errors.New("there are no capabilities")
	}
	out := target.Capabilities{
		SideBySide: c.GetSideBySide(), Weights: weightKinds.fromPB(c.GetWeights()), Step: target.Weight(c.GetWeightStep()),
		Propagation: DurationFromPB(c.GetPropagation()), ReleaseAddress: c.GetReleaseAddress(), ReleaseMetrics: c.GetReleaseMetrics(),
		Capacity: c.GetCapacity(), Sticky: c.GetSticky(), Mirror: c.GetMirror(), HeaderRouting: c.GetHeaderRouting(),
	}
	if out.Weights == target.PercentSteps && (out.Step <= 0 || out.Step > target.Full) {
		return out, fmt.Errorf("a step of %s between weights makes no sense", out.Step)
	}
	if out.Propagation < 0 {
		return out, fmt.Errorf("a propagation of %s makes no sense", out.Propagation)
	}
	var err error
	out.Metrics, err = readyFromPB(c.GetMetrics())
	return out, err
}

// NeedsToPB writes weights that are not set as none.
func NeedsToPB(n strategy.Needs) *pluginpb.StrategyNeeds {
	return &pluginpb.StrategyNeeds{
		SideBySide: n.SideBySide, Weights: weightKinds.toPB(n.Weights), ReleaseAddress: n.ReleaseAddress, ReleaseMetrics: n.ReleaseMetrics,
	}
}

func NeedsFromPB(n *pluginpb.StrategyNeeds) strategy.Needs {
	return strategy.Needs{
		SideBySide: n.GetSideBySide(), Weights: weightKinds.fromPB(n.GetWeights()), ReleaseAddress: n.GetReleaseAddress(), ReleaseMetrics: n.GetReleaseMetrics(),
	}
}
