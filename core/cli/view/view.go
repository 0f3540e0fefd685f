// Package view shows what happens: as lines for people, or as one JSON object a
// line for programs. Commands speak through it and never print by themselves.
package view

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
)

// View shows a run and what leads to it.
type View interface {
	// Plan shows what a run will do.
	Plan(p *plan.Plan)
	// Opened tells of the run before its first event.
	Opened(o Opening)
	// Event shows what happened.
	Event(e kernel.Event)
	// Log shows one line of a command's log.
	Log(c kernel.Command, l logs.Line)
	// Diagnostics shows errors and warnings.
	Diagnostics(d hcl.Diagnostics, files map[string]*hcl.File)
	// Summary is the end of a run's part in this process.
	Summary(s Summary)
	// Note is a remark.
	Note(text string)
	// Close leaves the screen as it should stay. It may be called again.
	Close()
}

// Opening is a run that is about to be driven.
type Opening struct {
	Run  string
	Plan *plan.Plan
	// State is where the run stands. It is valid only during the call.
	State *kernel.State
}

// Summary is how a run left.
type Summary struct {
	Run     string `json:"run"`
	Outcome string `json:"outcome"`
	// Idle is why the process leaves although the run is open; empty when it is closed.
	Idle    string            `json:"idle,omitempty"`
	Elapsed time.Duration     `json:"elapsed_ns"`
	Nodes   []kernel.NodeView `json:"nodes"`
	// Outputs of the pipeline in JSON; sensitive ones are null.
	Outputs map[string]json.RawMessage `json:"outputs,omitempty"`
	// Next are commands that make sense now.
	Next []string `json:"next,omitempty"`
}

// JSON writes one object a line: {"time", "type", "run", "data"}.
type JSON struct {
	mu  sync.Mutex
	out io.Writer
	run string
	now func() time.Time
}

// NewJSON writes to out.
func NewJSON(out io.Writer) *JSON { return &JSON{out: out, now: time.Now} }

type line struct {
	Time time.Time `json:"time"`
	Type string    `json:"type"`
	Run  string    `json:"run,omitempty"`
	Data any       `json:"data"`
}

func (j *JSON) write(at time.Time, typ string, data any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b, err := json.Marshal(line{at.UTC(), typ, j.run, data})
	if err != nil {
		return
	}
	_, _ = j.out.Write(append(b, '\n'))
}

// Plan implements View.
func (j *JSON) Plan(p *plan.Plan) { j.Compared(p, nil) }

// Compared is Plan with how the plan differs from an earlier run; nil for no comparison.
func (j *JSON) Compared(p *plan.Plan, difference any) {
	data := PlanData(p)
	data.Compared = difference
	j.write(j.now(), "plan", data)
}

// PlanDocument is a plan without what only the engine needs.
type PlanDocument struct {
	Digest   string      `json:"digest"`
	Pipeline string      `json:"pipeline"`
	Runner   string      `json:"runner"`
	Created  time.Time   `json:"created"`
	Changes  bool        `json:"changes"`
	Totals   Totals      `json:"totals"`
	Nodes    []plan.Node `json:"nodes"`
	// Compared is how the plan differs from that of an earlier run.
	Compared any `json:"compared,omitempty"`
}

// PlanData is a plan as programs read it.
func PlanData(p *plan.Plan) *PlanDocument {
	return &PlanDocument{p.Digest(), p.Pipeline, p.Runner, p.Created, p.HasChanges(), Sum(p), unsealed(p.Nodes), nil}
}

func unsealed(nodes []plan.Node) []plan.Node {
	out := make([]plan.Node, len(nodes))
	for i, n := range nodes {
		n.Sealed = nil
		out[i] = n
	}
	return out
}

// Opened implements View.
func (j *JSON) Opened(o Opening) {
	j.mu.Lock()
	j.run = o.Run
	j.mu.Unlock()
}

// Close implements View.
func (j *JSON) Close() {}

// Event implements View.
func (j *JSON) Event(e kernel.Event) { j.write(e.At.Time(), e.Fact.FactType(), e.Fact) }

// LogLine is a line of a log with the command that wrote it.
type LogLine struct {
	Node    string `json:"node"`
	Target  string `json:"target,omitempty"`
	Command int64  `json:"command"`
	logs.Line
}

// NoteLine is a remark for people.
type NoteLine struct {
	Text string `json:"text"`
}

// Log implements View.
func (j *JSON) Log(c kernel.Command, l logs.Line) {
	j.write(l.Time, "log", LogLine{c.Node, c.Target, c.ID, l})
}

// Diagnostics implements View.
func (j *JSON) Diagnostics(d hcl.Diagnostics, files map[string]*hcl.File) {
	for _, one := range diagnostics.View(diagnostics.Tidy(d), files) {
		j.write(j.now(), "diagnostic", one)
	}
}

// Summary implements View.
func (j *JSON) Summary(s Summary) { j.write(j.now(), "summary", s) }

// Note implements View.
func (j *JSON) Note(text string) { j.write(j.now(), "note", NoteLine{text}) }
