package drive

import (
	"context"
	"encoding/json"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/engine"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/runs/outputs"
)

// Evaluated is the program of a run with what its stages gave so far, for looking
// at it. Errors about variables were shown already.
func Evaluated(ctx context.Context, w *workspace.Workspace, rec runs.Record, vars, files []string) (*program.Program, error) {
	past, err := Past(ctx, w, rec)
	if err != nil {
		return nil, err
	}
	prog, pool, err := w.Loaded(past.Plan, "", vars, files, nil)
	if err != nil {
		return nil, err
	}
	pool.StopAll()
	earlier, err := replayed(ctx, w, past.Plan)
	if err != nil {
		return nil, err
	}
	prog.Scope.SetRun(rec.ID, rec.Initiator)
	return prog, engine.Restore(engine.Config{
		Program: prog, Run: rec, State: past.State, Key: w.Key, Redactor: w.Redactor, Slog: w.Slog(), Replayed: earlier,
	})
}

// keepOutputs keeps what the run gave for those who ask later, once it has
// succeeded. It comes before the run is recorded as closed: a process that dies in
// between leaves a run that is resumed and closed again.
func (d *driver) keepOutputs(ctx context.Context, state *kernel.State) error {
	values, ok := given(d.prog)
	if state.Outcome() != kernel.Succeeded || !ok {
		return nil
	}
	return outputs.Keep(ctx, d.w.Store, d.w.Key, d.rec.ID, values)
}

// given are the pipeline's outputs; false when they cannot be evaluated.
func given(prog *program.Program) ([]outputs.Output, bool) {
	values, diags := prog.Scope.OutputValues()
	if diags.HasErrors() {
		return nil, false
	}
	out := make([]outputs.Output, 0, len(values))
	for _, o := range values {
		v, _ := o.Value.UnmarkDeep()
		if !v.IsWhollyKnown() {
			v = cty.NullVal(v.Type())
		}
		out = append(out, outputs.Output{Name: o.Config.Name, Value: v, Sensitive: o.Config.Sensitive || lang.IsSensitive(o.Value)})
	}
	return out, true
}

// shown are the pipeline's outputs in JSON, sensitive ones left out.
func shown(prog *program.Program) map[string]json.RawMessage {
	values, _ := given(prog)
	if len(values) == 0 {
		return nil
	}
	out := map[string]json.RawMessage{}
	for _, o := range values {
		if o.Sensitive {
			out[o.Name] = json.RawMessage(`"(sensitive)"`)
			continue
		}
		b, err := ctyjson.SimpleJSONValue{Value: o.Value}.MarshalJSON()
		if err != nil {
			b = []byte("null")
		}
		out[o.Name] = b
	}
	return out
}
