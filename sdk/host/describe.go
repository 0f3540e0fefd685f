package host

import (
	"fmt"

	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/schema"
)

// describe reads what a plugin says about itself. Components of kinds that this
// side does not know are left out: a newer plugin may offer more.
func describe(r *pluginpb.DescribeResponse) (*Description, error) {
	d := &Description{
		Name: r.GetName(), Version: r.GetVersion(), SDK: r.GetSdk(), Features: r.GetFeatures(), MaxParallel: int(r.GetLimits().GetMaxParallel()),
	}
	if d.Name == "" || d.Version == "" {
		return nil, fmt.Errorf("it has no name or no version")
	}
	if d.MaxParallel < 0 {
		return nil, fmt.Errorf("it allows %d calls at the same time", d.MaxParallel)
	}
	for _, e := range r.GetEnvWanted() {
		d.EnvWanted = append(d.EnvWanted, EnvVar{Name: e.GetName(), Doc: e.GetDoc()})
	}
	if r.GetConfig() != nil {
		s, err := wire.SchemaFromPB(r.GetConfig())
		if err != nil {
			return nil, fmt.Errorf("the plugin block: %w", err)
		}
		d.Config = &s
	}
	type key struct {
		kind schema.Kind
		name string
	}
	seen := map[key]bool{}
	for _, pb := range r.GetComponents() {
		kind, err := wire.KindFromPB(pb.GetKind())
		if err != nil {
			continue
		}
		c, err := component(kind, pb)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", kind, pb.GetName(), err)
		}
		if k := (key{kind, c.Name}); c.Name == "" || kind == "" || seen[k] {
			return nil, fmt.Errorf("the %s %q has no name or kind of its own", kind, c.Name)
		} else {
			seen[k] = true
		}
		d.Components = append(d.Components, c)
	}
	return d, nil
}

func component(kind schema.Kind, pb *pluginpb.Component) (Component, error) {
	c := Component{Name: pb.GetName(), Kind: kind, Operations: wire.OperationsFromPB(pb.GetOperations()), Doc: pb.GetDoc()}
	var err error
	if c.Config, err = wire.SchemaFromPB(pb.GetConfig()); err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	if pb.GetOutputs() != nil {
		outputs, err := wire.SchemaFromPB(pb.GetOutputs())
		if err != nil {
			return c, fmt.Errorf("outputs: %w", err)
		}
		c.Outputs = &outputs
	}
	switch kind {
	case schema.KindTarget:
		caps, err := wire.CapabilitiesFromPB(pb.GetTarget())
		if err != nil {
			return c, err
		}
		c.Target = &caps
	case schema.KindStrategy:
		needs := wire.NeedsFromPB(pb.GetStrategy())
		c.Strategy = &needs
	}
	return c, nil
}
