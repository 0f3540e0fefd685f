package program

import (
	"container/heap"
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/scope"
)

// order adds the barriers between environments, and puts the nodes in an order
// in which each comes after those it waits for; else as in the files.
func (p *Program) order(stages []*Node) hcl.Diagnostics {
	var diags hcl.Diagnostics
	nodes := append([]*Node(nil), stages...)
	index := make(map[string]int, len(nodes))
	for i, n := range nodes {
		index[n.ID] = i
	}
	after := make([][]int, len(nodes), len(nodes)+8)
	barriers := map[string]int{}
	var barrier func(e *scope.Environment) int
	barrier = func(e *scope.Environment) int {
		if i, ok := barriers[e.Name]; ok {
			return i
		}
		n := &Node{ID: "environment." + e.Name, Kind: kernel.BarrierNode}
		i := len(nodes)
		nodes, after = append(nodes, n), append(after, nil)
		barriers[e.Name] = i
		for j, st := range stages {
			if st.Stage.Environment == e {
				after[i] = append(after[i], j)
			}
		}
		for _, before := range e.After {
			b := barrier(before)
			after[i] = append(after[i], b)
		}
		return i
	}
	for i, n := range stages {
		deps, more := n.Stage.Dependencies()
		diags = append(diags, more...)
		for _, d := range deps {
			if j, ok := index[d.Stage.String()]; ok {
				after[i] = append(after[i], j)
			}
		}
		if e := n.Stage.Environment; e != nil {
			for _, before := range e.After {
				after[i] = append(after[i], barrier(before))
			}
		}
	}
	sorted := topological(after)
	if len(sorted) < len(nodes) {
		diags = append(diags, cycle(nodes, after, sorted))
	}
	place := make([]int, len(nodes))
	for pos, i := range sorted {
		place[i] = pos
	}
	for _, i := range sorted {
		n := nodes[i]
		for _, a := range after[i] {
			n.After = append(n.After, place[a])
		}
		sort.Ints(n.After)
		n.After = dedupe(n.After)
		p.Nodes = append(p.Nodes, n)
		p.byID[n.ID] = n
	}
	return diags
}

func dedupe(sorted []int) []int {
	out := sorted[:0]
	for i, v := range sorted {
		if i == 0 || v != sorted[i-1] {
			out = append(out, v)
		}
	}
	return out
}

// topological lists indexes so that each comes after those in its list; those
// on or behind a cycle are left out. Among several the smallest comes first.
func topological(after [][]int) []int {
	pending := make([]int, len(after))
	next := make([][]int, len(after))
	var free intHeap
	for i, deps := range after {
		pending[i] = len(deps)
		for _, d := range deps {
			next[d] = append(next[d], i)
		}
		if len(deps) == 0 {
			free = append(free, i)
		}
	}
	heap.Init(&free)
	var out []int
	for free.Len() > 0 {
		i := heap.Pop(&free).(int)
		out = append(out, i)
		for _, j := range next[i] {
			if pending[j]--; pending[j] == 0 {
				heap.Push(&free, j)
			}
		}
	}
	return out
}

type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// cycle names one cycle among the nodes that could not be ordered.
func cycle(nodes []*Node, after [][]int, sorted []int) *hcl.Diagnostic {
	ordered := make([]bool, len(nodes))
	for _, i := range sorted {
		ordered[i] = true
	}
	at := 0
	for ordered[at] {
		at++
	}
	seen := map[int]int{}
	var path []int
	for {
		if start, ok := seen[at]; ok {
			path = path[start:]
			break
		}
		seen[at] = len(path)
		path = append(path, at)
		for _, d := range after[at] {
			if !ordered[d] {
				at = d
				break
			}
		}
	}
	// Begin with the node that comes first in the files, so that the message is stable.
	first := 0
	for i, n := range path {
		if n < path[first] {
			first = i
		}
	}
	path = append(path[first:], path[:first]...)
	var names []string
	var subject hcl.Range
	for _, i := range path {
		names = append(names, nodes[i].ID)
		if subject.Filename == "" && nodes[i].Stage != nil {
			subject = nodes[i].Stage.Config.Range
		}
	}
	names = append(names, names[0])
	return diagnostics.Error(subject, "Stages wait for each other",
		"Each of these waits for the next, so none can ever start:\n  %s\nRemove one of the references, or one depends_on.%s",
		strings.Join(names, " → "), ahead(nodes, path))
}

// ahead says what was probably meant where a stage waits for all instances of
// another, and so also for those of later environments.
func ahead(nodes []*Node, path []int) string {
	for i, at := range path {
		from, to := nodes[at].Stage, nodes[path[(i+1)%len(path)]].Stage
		if from == nil || to == nil || from.Environment == nil || from.Environment == to.Environment || to.Config.ForEach == nil {
			continue
		}
		whole := to.Addr
		whole.Module, whole.Key, whole.Keyed = "", "", false
		for _, n := range nodes {
			if s := n.Stage; s != nil && s.Config == to.Config && s.Environment == from.Environment {
				return fmt.Sprintf(" %s waits for every instance of %s, also for those of later environments. To wait for that of its own environment, write %s[each.key].",
					nodes[at].ID, whole, whole)
			}
		}
	}
	return ""
}
