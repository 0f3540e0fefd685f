package lang

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/runner-pipelines/runner/core/diagnostics"
)

const (
	noClock  = ` Functions neither read a clock nor roll dice, so that a plan made again is the same. Give such a value from outside, with a variable.`
	useRange = ` Did you mean "range"?`
	useEnv   = ` Did you mean "env"?`
)

// unknownFunction says what to do instead of functions that other languages have.
var unknownFunction = map[string]string{
	"timestamp": noClock, "now": noClock, "plantimestamp": noClock, "uuid": noClock, "random": noClock, "bcrypt": noClock,
	"getenv": useEnv, "environ": useEnv, "count": ` Did you mean "length"?`, "len": ` Did you mean "length"?`, "seq": useRange,
	"str": ` Did you mean "tostring"?`, "int": ` Did you mean "tonumber"?`, "concatenate": ` Did you mean "concat", or "join" for texts?`,
}

// NoFunction is the detail of a diagnostic about a call of a function that does not
// exist. What the evaluator says names another one of equally near functions each time.
func NoFunction(d *hcl.Diagnostic) string {
	call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](d)
	if !ok {
		return d.Detail
	}
	name := call.CalledFunctionName()
	detail := fmt.Sprintf("There is no function named %q.", name)
	if hint := unknownFunction[name]; hint != "" {
		return detail + hint
	}
	var have []string
	for in := d.EvalContext; in != nil; in = in.Parent() {
		have = slices.AppendSeq(have, maps.Keys(in.Functions))
	}
	return detail + diagnostics.Suggest(name, have)
}
