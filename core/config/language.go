package config

import "github.com/runner-pipelines/runner/core/block"

// Section is one kind of block of the language.
type Section struct {
	// Path are the blocks that lead to it: "stage", "stage.retry"; empty for the file.
	Path string
	// Label says what the label is; empty for none.
	Label string
	// LabelOptional: the label may be left out.
	LabelOptional bool
	Body          *block.Schema
}

// Language is all of the language's own blocks, each behind the one that it
// stands in. What stands in a component's block is its plugin's.
func Language() []Section {
	use := &block.Schema{What: "a use block", Rest: true}
	holder := func(what string) *block.Schema { return &block.Schema{What: what, Blocks: []block.Block{useBlock}} }
	inner := map[string]*block.Schema{
		"runner": runnerBody, "runner.required_plugins": {What: "a required_plugins block", Rest: true},
		"pipeline": {What: "a pipeline block"}, "variable": variableBody, "variable.validation": validationBody,
		"locals": {What: "a locals block", Rest: true}, "output": outputBody, "plugin": pluginBody,
		"environment": environmentBody, "environment.approval": approvalBody, "pool": poolBody, "module": callBody,
		"notify": notifyBody, "stage": stageBody, "stage.use": use, "stage.target": holder("a target block"), "stage.target.use": use,
		"stage.strategy": {What: "a strategy block", Rest: true},
		"stage.analysis": analysisBody, "stage.analysis.metric": metricBody, "stage.analysis.metric.use": use,
		"stage.analysis.slo": sloBody, "stage.analysis.slo.use": use,
		"stage.verify": holder("a verify block"), "stage.verify.use": use,
		"stage.approval": approvalBody, "stage.gate": gateBody, "stage.gate.input": gateInputBody,
		"stage.retry": retryBody, "stage.rollback": holder("a rollback block"), "stage.rollback.use": use,
	}
	out := []Section{{Body: pipelineBody}}
	var descend func(path string, s *block.Schema)
	descend = func(path string, s *block.Schema) {
		for _, b := range s.Blocks {
			at := b.Type
			if path != "" {
				at = path + "." + b.Type
			}
			body := inner[at]
			out = append(out, Section{Path: at, Label: b.Label, LabelOptional: b.LabelOptional, Body: body})
			if body != nil {
				descend(at, body)
			}
		}
	}
	descend("", pipelineBody)
	return out
}
