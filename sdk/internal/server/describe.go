package server

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// newDescription derives everything from the components' own types.
func (s *Server) newDescription() (*pluginpb.DescribeResponse, error) {
	d := &pluginpb.DescribeResponse{
		Name: s.cfg.Name, Version: s.cfg.Version, Sdk: s.cfg.SDK, Limits: &pluginpb.Limits{MaxParallel: int32(s.cfg.MaxParallel)},
	}
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Env)) {
		d.EnvWanted = append(d.EnvWanted, &pluginpb.EnvironmentVariable{Name: name, Doc: s.cfg.Env[name]})
	}
	var errs []error
	if s.cfg.Configurer != nil {
		config, err := configOf(func() any { return s.cfg.Configurer() })
		if err != nil {
			errs = append(errs, fmt.Errorf("plugin block: %w", err))
		}
		d.Config = wire.SchemaToPB(config)
	}
	for _, c := range s.constructors() {
		pb, err := describe(c)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %q: %w", c.kind, c.name, err))
		}
		d.Components = append(d.Components, pb)
	}
	return d, errors.Join(errs...)
}

func describe(c constructor) (*pluginpb.Component, error) {
	pb := &pluginpb.Component{Name: c.name, Kind: wire.KindToPB(c.kind)}
	config, err := configOf(c.make)
	if err != nil {
		return pb, err
	}
	pb.Config = wire.SchemaToPB(config)
	component := c.make()
	pb.Operations = wire.OperationsToPB(operations(component))
	if doc, ok := component.(interface{ Doc() string }); ok {
		pb.Doc = doc.Doc()
	}
	if o, ok := component.(action.Outputter); ok {
		outputs, err := schema.Of(o.Outputs())
		if err != nil {
			return pb, fmt.Errorf("outputs: %w", err)
		}
		pb.Outputs = wire.SchemaToPB(outputs)
	}
	switch x := component.(type) {
	case target.Target:
		caps := x.Capabilities()
		pb.Target = wire.CapabilitiesToPB(caps)
		if _, err := wire.CapabilitiesFromPB(pb.Target); err != nil {
			return pb, fmt.Errorf("capabilities: %w", err)
		}
		if _, scales := component.(target.Scaler); caps.Capacity && !scales {
			return pb, errors.New("capabilities: capacity is declared, so Scale must be implemented")
		}
	case strategy.Strategy:
		pb.Strategy = wire.NeedsToPB(x.Needs())
	}
	return pb, nil
}

// configOf is the schema of what the constructor makes. The constructor must
// make a fresh pointer each time, since calls at the same time are decoded into it.
func configOf(construct func() any) (schema.Schema, error) {
	if construct == nil {
		return schema.Schema{}, errors.New("the constructor is nil")
	}
	a, b := construct(), construct()
	if a == nil || b == nil {
		return schema.Schema{}, errors.New("the constructor returns nil")
	}
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	if va.Kind() != reflect.Pointer || va.Type().Elem().Kind() != reflect.Struct {
		return schema.Schema{}, fmt.Errorf("the constructor returns a %T; it must return a pointer to a struct", a)
	}
	if va.IsNil() || vb.IsNil() {
		return schema.Schema{}, errors.New("the constructor returns nil")
	}
	if va.Pointer() == vb.Pointer() && va.Type().Elem().Size() > 0 {
		return schema.Schema{}, errors.New("the constructor returns the same value twice; it must make a fresh one")
	}
	return schema.Of(a)
}

// operations derives what a component can do from the interfaces it implements.
func operations(component any) []schema.Operation {
	var ops []schema.Operation
	add := func(name string, class schema.Class, reconcile bool) {
		ops = append(ops, schema.Operation{Name: name, Class: class, Reconcile: reconcile})
	}
	switch component.(type) {
	case action.Action:
		_, reconciles := component.(action.Reconciler)
		class := schema.Once
		if _, ok := component.(action.Convergent); ok {
			class = schema.Convergent
		}
		add("run", class, reconciles)
		if _, ok := component.(action.Undoer); ok {
			add("undo", schema.Convergent, reconciles)
		}
		if _, ok := component.(action.Planner); ok {
			add("plan", schema.Read, false)
		}
		if _, ok := component.(action.Reader); ok {
			add("read", schema.Read, false)
		}
	case target.Target:
		add("observe", schema.Read, false)
		add("plan", schema.Read, false)
		for _, name := range []string{"install", "set_weight", "settle", "retire"} {
			add(name, schema.Convergent, false)
		}
		if _, ok := component.(target.Scaler); ok {
			add("scale", schema.Convergent, false)
		}
	case strategy.Strategy:
		add("next", schema.Read, false)
	default:
		add("measure", schema.Read, false)
		if _, ok := component.(metrics.Historian); ok {
			add("past", schema.Read, false)
		}
	}
	return ops
}
