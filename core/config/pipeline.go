package config

import (
	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Pipeline is what the files of one pipeline say. Nothing is evaluated yet.
type Pipeline struct {
	// Dir is the absolute directory of the root; empty when loaded from sources.
	Dir       string
	Name      string
	NameRange hcl.Range
	Runner    Runner
	// Incomplete says that some file could not be read, or is for another version:
	// what refers to it cannot be judged. Mistakes of other kinds leave the
	// pipeline fit for finding the rest of them with package scope.
	Incomplete bool
	// Root is also Modules["."].
	Root *Module
	// Modules by their directory relative to the root's, with slashes.
	Modules map[string]*Module

	// In the order of the files.
	Plugins      []*Plugin
	Environments []*Environment
	Pools        []*Pool
	Notify       []*Notify

	// Sources are all files read, by path relative to Dir, with slashes.
	Sources map[string][]byte
	// Files are the same, parsed; diagnostics.Write takes them.
	Files map[string]*hcl.File
}

// Runner is the block of that name.
type Runner struct {
	RequiredVersion      version.Constraints
	RequiredVersionRange hcl.Range
	// RequiredPlugins in the order of their names.
	RequiredPlugins []*RequiredPlugin
	Range           hcl.Range
}

// RequiredPlugin is one entry of required_plugins.
type RequiredPlugin struct {
	Name string
	// Source is namespace/name, such as runner/local.
	Source string
	// Version is nil when any will do; VersionText is as written.
	Version     version.Constraints
	VersionText string
	Range       hcl.Range
}

// Module is what one directory declares. The lists are in the order of the
// files.
type Module struct {
	// Path is the directory relative to the root's, with slashes; "." for the root.
	Path      string
	Variables []*Variable
	Locals    []*Local
	Outputs   []*Output
	Calls     []*Call
	Stages    []*Stage
}

// Plugin is one configuration of a plugin.
type Plugin struct {
	Name string
	// Alias is empty for the configuration that is used by default.
	Alias string
	// Environment are variables that the plugin may see beyond those it asks for.
	Environment []string
	// Body is the plugin's own configuration.
	Body      hcl.Body
	Range     hcl.Range
	NameRange hcl.Range
}

// Environment is one place that software is promoted to.
type Environment struct {
	Name string
	// After are environments that must be settled first.
	After []EnvironmentRef
	// Settings is nil when there are none.
	Settings hcl.Expression
	// Plugins say which alias of a plugin serves here.
	Plugins []PluginRef
	// Approvals hold for each stage of the environment; they have no name.
	Approvals []*Approval
	Range     hcl.Range
	NameRange hcl.Range
}

// EnvironmentRef is environment.NAME.
type EnvironmentRef struct {
	Name  string
	Range hcl.Range
}

// PluginRef says that plugin Name means the configuration with this alias.
type PluginRef struct {
	Name, Alias string
	Range       hcl.Range
}

// Pool bounds how many stages run at the same time.
type Pool struct {
	Name      string
	Limit     hcl.Expression
	Range     hcl.Range
	NameRange hcl.Range
}

// Notify is a subscription of a notifier.
type Notify struct {
	Component string
	// On is nil when not given.
	On    hcl.Expression
	Body  hcl.Body
	Range hcl.Range
	// ComponentRange is that of the label.
	ComponentRange hcl.Range
}

// Variable is an input of a module.
type Variable struct {
	Name string
	Type VariableType
	// Default is of Type; cty.NilVal when there is none, unknown when it is wrong.
	Default      cty.Value
	DefaultRange hcl.Range
	Description  string
	Sensitive    bool
	// Nullable is true unless the block says otherwise.
	Nullable    bool
	Validations []*Validation
	Range       hcl.Range
	NameRange   hcl.Range
}

// Validation is one rule about a variable's value.
type Validation struct {
	Condition    hcl.Expression
	ErrorMessage hcl.Expression
	Range        hcl.Range
}

// Local is one named expression of a locals block.
type Local struct {
	Name      string
	Expr      hcl.Expression
	NameRange hcl.Range
}

// Output is a result of a module; those of the root are shown when a run ends.
type Output struct {
	Name        string
	Value       hcl.Expression
	Description string
	Sensitive   bool
	Range       hcl.Range
	NameRange   hcl.Range
}

// Call is a module block.
type Call struct {
	Name string
	// Path is the module's directory: a key of Pipeline.Modules; empty when it was
	// not given rightly.
	Path      string
	ForEach   hcl.Expression
	DependsOn []hcl.Expression
	// Inputs give the module's variables.
	Inputs    []*Input
	Range     hcl.Range
	NameRange hcl.Range
}

// Input gives one variable of a module.
type Input struct {
	Name      string
	Expr      hcl.Expression
	NameRange hcl.Range
}
