package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/redact"
	"github.com/runner-pipelines/runner/core/scope"
	"github.com/runner-pipelines/runner/core/seal"
)

// LoadOptions of Load.
type LoadOptions struct {
	// Dir is the pipeline's directory.
	Dir string
	// Catalog makes the catalog of the plugins that the plan's files require.
	Catalog func(required map[string]string) *catalog.Catalog
	Key     *seal.Key
	// Redactor learns what is sensitive.
	Redactor *redact.Redactor
	// Values give the sensitive variables again; others must not differ.
	Values scope.Values
	// Blind leaves sensitive variables unknown, for a program that is looked at and
	// never carried out.
	Blind bool
}

// Load turns a plan back into the program that it was made of: the same files,
// the same variables, the same answers of the outside world.
func (p *Plan) Load(opts LoadOptions) (*program.Program, hcl.Diagnostics) {
	pipeline, diags := config.LoadSources(p.Sources, config.Options{})
	if diags.HasErrors() {
		return nil, diags
	}
	pipeline.Dir = opts.Dir
	record, more := p.record(opts.Key)
	if diags = append(diags, more...); diags.HasErrors() {
		return nil, diags
	}
	final, more := p.variables(pipeline, opts)
	if diags = append(diags, more...); diags.HasErrors() {
		return nil, diags
	}
	required := map[string]string{}
	for _, r := range pipeline.Runner.RequiredPlugins {
		required[r.Name] = r.Source
	}
	prog, more := program.New(pipeline, program.Options{
		Catalog: opts.Catalog(required), Values: scope.Values{Final: final}, World: lang.Replay(record), Redactor: opts.Redactor,
		AllowMissing: opts.Blind,
	})
	if diags = append(diags, more...); diags.HasErrors() {
		return prog, diags
	}
	for _, n := range p.Nodes {
		if _, ok := prog.Node(n.ID); !ok {
			return prog, append(diags, diagnostics.Error(hcl.Range{}, "Plan cannot be carried out by this runner",
				"This runner reads the plan's files differently than runner %s, which made it. Use that version, or plan again.", p.Runner))
		}
	}
	return prog, diags
}

func (p *Plan) record(key *seal.Key) (lang.Record, hcl.Diagnostics) {
	var record lang.Record
	world, err := key.Open(p.World, worldPlace(p.Salt))
	if err == nil {
		err = json.Unmarshal(world, &record)
	}
	if err != nil {
		detail := fmt.Sprintf("What the plan saw of the outside world cannot be read: %s.", err)
		if errors.Is(err, seal.ErrWrongKey) {
			detail += " Give the state key that the plan was made with in " + seal.EnvKey + "."
		}
		return record, hcl.Diagnostics{diagnostics.Error(hcl.Range{}, "Plan cannot be opened", "%s", detail)}
	}
	return record, nil
}

// variables are the planned values; sensitive ones are taken from what was
// given again, and must be the same.
func (p *Plan) variables(pipeline *config.Pipeline, opts LoadOptions) (map[string]cty.Value, hcl.Diagnostics) {
	final := map[string]cty.Value{}
	var hashed []string
	for _, name := range slices.Sorted(maps.Keys(p.Variables)) {
		v := p.Variables[name]
		if v.Hash != "" {
			hashed = append(hashed, name)
			continue
		}
		typ, err := ctyjson.UnmarshalType(v.Type)
		if err != nil {
			return nil, damagedVariable(name, err)
		}
		val, err := ctyjson.Unmarshal(v.Value, typ)
		if err != nil {
			return nil, damagedVariable(name, err)
		}
		final[name] = val
	}
	given := opts.Values
	if opts.Blind || len(hashed) == 0 && len(given.Vars) == 0 && len(given.Files) == 0 {
		return final, nil
	}
	again, diags := scope.New(pipeline, scope.Options{Values: given, World: lang.Replay(lang.Record{}), AllowMissing: true})
	values := again.Variables()
	for _, name := range hashed {
		v, ok := values[name]
		if !ok || !known(v) {
			diags = append(diags, diagnostics.Error(variableRange(pipeline, name), "Sensitive variable is missing",
				"The plan keeps only a hash of variable %q. Give its value again:\n  RUNNER_VAR_%s=…", name, name))
			continue
		}
		plain, _ := v.UnmarkDeep()
		text, err := ctyjson.Marshal(plain, plain.Type())
		if err != nil || !seal.SameHash(p.Variables[name].Hash, p.Salt, text) {
			diags = append(diags, diagnostics.Error(variableRange(pipeline, name), "Sensitive variable differs",
				"The plan was made with another value of variable %q. Give the same value, or plan again.", name))
			continue
		}
		final[name] = plain
	}
	return final, onlyErrorsOf(diags)
}

// onlyErrorsOf drops warnings that were told when the plan was made.
func onlyErrorsOf(diags hcl.Diagnostics) hcl.Diagnostics {
	var out hcl.Diagnostics
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			out = append(out, d)
		}
	}
	return out
}

func variableRange(p *config.Pipeline, name string) hcl.Range {
	if v, ok := p.Root.Variable(name); ok {
		return v.Range
	}
	return hcl.Range{}
}

func damagedVariable(name string, err error) hcl.Diagnostics {
	return hcl.Diagnostics{diagnostics.Error(hcl.Range{}, "Plan cannot be opened", "Variable %q cannot be read: %s.", name, err)}
}

// StagePlan opens the plugin's own plan of a node; nil when it has none.
func (p *Plan) StagePlan(key *seal.Key, node string) ([]byte, error) {
	n := p.Node(node)
	if n == nil || len(n.Sealed) == 0 {
		return nil, nil
	}
	return key.Open(n.Sealed, planPlace(p.Salt, node))
}

// OpensWith says why what the plan keeps sealed does not open with a key; nil when
// it does.
func (p *Plan) OpensWith(key *seal.Key) error {
	_, err := key.Open(p.World, worldPlace(p.Salt))
	return err
}

// InputsDigest names resolved inputs without telling them.
func (p *Plan) InputsDigest(parts ...[]byte) string { return salted(p.Salt, parts...) }

// SameVariable reports whether the plan was made with this value of a variable,
// also of a sensitive one.
func (p *Plan) SameVariable(name string, v cty.Value) bool {
	old, ok := p.Variables[name]
	if !ok {
		return false
	}
	v, _ = v.UnmarkDeep()
	text, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return false
	}
	if old.Hash != "" {
		return seal.SameHash(old.Hash, p.Salt, text)
	}
	typ, err := ctyjson.MarshalType(v.Type())
	return err == nil && bytes.Equal(typ, old.Type) && bytes.Equal(text, old.Value)
}
