// Package diagram draws the graph of a pipeline, with where each stage stands,
// in the languages that others draw: DOT, Mermaid, SVG.
package diagram

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/core/kernel"
)

// State is where a stage stands, as far as it has a colour.
type State string

const (
	Planned State = "planned"
	Works   State = "works"
	Asks    State = "asks"
	Done    State = "done"
	Failed  State = "failed"
	NotRun  State = "not_run"
)

// Node is a stage, or the barrier before an environment.
type Node struct {
	ID      string
	Label   string
	Barrier bool
	State   State
	// Note is a few words under the label; may be empty.
	Note string
}

// Diagram is a graph to draw. Edges are pairs of indexes into Nodes; those that
// follow from others are left out.
type Diagram struct {
	Nodes []Node
	Edges [][2]int
}

// Of draws a graph; where its stages stand comes from views, which may be nil.
func Of(g *kernel.Graph, views []kernel.NodeView) *Diagram {
	d := &Diagram{Nodes: make([]Node, len(g.Nodes))}
	for i, n := range g.Nodes {
		d.Nodes[i] = Node{ID: n.ID, Label: label(n.ID), Barrier: n.Kind == kernel.BarrierNode, State: Planned}
		if i < len(views) && views[i].ID == n.ID {
			d.Nodes[i].State, d.Nodes[i].Note = state(views[i]), note(views[i])
		}
	}
	d.Edges = needed(g)
	return d
}

// needed are the edges that do not follow from others.
func needed(g *kernel.Graph) [][2]int {
	var edges [][2]int
	words := (len(g.Nodes) + 63) / 64
	// before holds, for each node, a bit for every node that comes before it.
	before := make([][]uint64, len(g.Nodes))
	for i, n := range g.Nodes {
		before[i] = make([]uint64, words)
		// The latest first: what comes before it needs no edge of its own.
		for _, from := range slices.Backward(slices.Sorted(slices.Values(n.After))) {
			if before[i][from/64]>>(from%64)&1 == 1 {
				continue
			}
			edges = append(edges, [2]int{from, i})
			before[i][from/64] |= 1 << (from % 64)
			for w, bits := range before[from] {
				before[i][w] |= bits
			}
		}
	}
	slices.SortFunc(edges, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	return edges
}

func label(id string) string { return strings.TrimPrefix(id, "stage.") }

func state(v kernel.NodeView) State {
	switch {
	case v.Outcome == kernel.Succeeded:
		return Done
	case v.Outcome == kernel.Skipped, v.Outcome == kernel.NotRun:
		return NotRun
	case v.Outcome != "":
		return Failed
	case v.Started == 0:
		return Planned
	}
	for _, g := range v.Gates {
		if g.Open {
			return Asks
		}
	}
	return Works
}

func note(v kernel.NodeView) string {
	if v.Rollout != nil && v.Outcome == "" && v.Started != 0 {
		var weights []string
		for _, t := range v.Rollout.Targets {
			weights = append(weights, fmt.Sprintf("%s %s", t.Name, t.Weight))
		}
		return strings.Join(weights, ", ")
	}
	switch v.Outcome {
	case "", kernel.Succeeded:
		return ""
	}
	return strings.ReplaceAll(string(v.Outcome), "_", " ")
}

// colours of the states: fill and line.
var colours = map[State][2]string{
	Planned: {"#f6f8fa", "#8c959f"},
	Works:   {"#ddf4ff", "#0969da"},
	Asks:    {"#fff8c5", "#9a6700"},
	Done:    {"#dafbe1", "#1a7f37"},
	Failed:  {"#ffebe9", "#cf222e"},
	NotRun:  {"#ffffff", "#d0d7de"},
}

// states in the order in which they are written.
var states = []State{Planned, Works, Asks, Done, Failed, NotRun}
