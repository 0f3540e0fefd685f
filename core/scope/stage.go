package scope

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/config"
)

// Stage is one instance of a stage.
type Stage struct {
	Addr   addr.Stage
	Config *config.Stage
	// Environment is nil when the stage belongs to none.
	Environment *Environment
	// Placeholder stands for instances that are not known; see Options.AllowMissing.
	Placeholder bool

	module     *module
	each       *each
	envUnknown bool
	index      int
}

// Context evaluates the stage's own expressions and bodies.
func (s *Stage) Context() *Context {
	return &Context{module: s.module, each: s.each, env: s.Environment, envUnknown: s.envUnknown}
}

// ReleaseType is that of candidate and stable; TargetType that of target.
var (
	ReleaseType = cty.Object(map[string]cty.Type{
		"id": cty.String, "version": cty.String, "address": cty.String, "labels": cty.Map(cty.String),
	})
	TargetType = cty.Object(map[string]cty.Type{"name": cty.String})
)

// CheckContext evaluates the bodies of verify and metric blocks, where
// candidate, stable and target are in scope. Pass cty.UnknownVal of ReleaseType
// or TargetType where they are not known.
func (s *Stage) CheckContext(candidate, stable, target cty.Value) *Context {
	c := s.Context()
	c.extra = map[string]cty.Value{"candidate": candidate, "stable": stable, "target": target}
	return c
}

// RollbackContext evaluates the body of the rollback block: the stage's own
// outputs are in scope as self.
func (s *Stage) RollbackContext(self cty.Value) *Context {
	c := s.Context()
	c.extra = map[string]cty.Value{"self": self}
	return c
}
