package redact

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// matcher finds all forms in one pass (Aho and Corasick). A state is the number of
// a node, which stands for the longest text behind us that begins a form; 0 is none.
type matcher struct {
	nodes []node
	// edges of a node lie together, sorted by byte.
	edges []edge
	// root leads from state 0 by byte; 0 where no form begins so.
	root [256]int32
	// pairs has a bit for every two bytes that a form begins with: most text is
	// passed over with it.
	pairs [1 << 16 / 64]uint64
}

type node struct {
	first, count int32 // of its edges
	fail         int32 // node for the longest shorter end of this text
	depth        int32 // length of this text
	match        int32 // length of the longest form that ends here; 0 for none
}

type edge struct {
	to int32
	by byte
}

func newMatcher(forms map[string]struct{}) *matcher {
	m := newTrie(slices.Sorted(maps.Keys(forms))).matcher()
	for _, e := range m.edgesOf(0) {
		m.root[e.by] = e.to
		for _, second := range m.edgesOf(e.to) {
			pair := uint(e.by)<<8 | uint(second.by)
			m.pairs[pair/64] |= 1 << (pair % 64)
		}
	}
	// Shorter texts first, since longer ones build on them.
	queue := append(make([]edge, 0, len(m.edges)), m.edgesOf(0)...)
	for i := 0; i < len(queue); i++ {
		fail := m.nodes[queue[i].to].fail
		for _, e := range m.edgesOf(queue[i].to) {
			n := &m.nodes[e.to]
			n.fail = m.step(fail, e.by)
			n.match = max(n.match, m.nodes[n.fail].match)
			queue = append(queue, e)
		}
	}
	return m
}

func (m *matcher) edgesOf(state int32) []edge {
	n := &m.nodes[state]
	return m.edges[n.first : n.first+n.count]
}

// step is the state after one more byte.
func (m *matcher) step(state int32, b byte) int32 {
	for state != 0 {
		n := &m.nodes[state]
		edges := m.edges[n.first : n.first+n.count]
		for len(edges) > 8 {
			if half := len(edges) / 2; edges[half].by <= b {
				edges = edges[half:]
			} else {
				edges = edges[:half]
			}
		}
		for i := range edges {
			if edges[i].by == b {
				return edges[i].to
			}
		}
		state = n.fail
	}
	return m.root[b]
}

// span is a part of a text.
type span struct{ from, to int }

// scan feeds text to the matcher and returns the state behind it. found is called with
// the parts that forms cover, in order, those that overlap as one;
// what a longer text could still join to something else is left in open.
func scan[T string | []byte](m *matcher, text T, found func(span) bool) (state int32, open []span) {
	for i := 0; i < len(text); i++ {
		if state == 0 {
			if i = skip(m, text, i); i == len(text) {
				return 0, open
			}
		}
		state = m.step(state, text[i])
		n := &m.nodes[state]
		if n.match > 0 {
			s := span{i + 1 - int(n.match), i + 1}
			for len(open) > 0 && open[len(open)-1].to > s.from {
				s.from = min(s.from, open[len(open)-1].from)
				open = open[:len(open)-1]
			}
			open = append(open, s)
		}
		// What is found from here on begins no earlier than the state's text.
		for len(open) > 0 && open[0].to <= i+1-int(n.depth) {
			if !found(open[0]) {
				return 0, nil
			}
			open = open[1:]
		}
	}
	return state, open
}

// skip is the next place from i on where a form may begin, when none has.
func skip[T string | []byte](m *matcher, text T, i int) int {
	for ; i+1 < len(text); i++ {
		pair := uint(text[i])<<8 | uint(text[i+1])
		if m.pairs[pair/64]&(1<<(pair%64)) != 0 {
			return i
		}
	}
	if i < len(text) && m.root[text[i]] == 0 {
		i++
	}
	return i
}

// spans yields the parts of a whole text that forms cover.
func spans[T string | []byte](m *matcher, text T) iter.Seq[span] {
	return func(yield func(span) bool) {
		_, open := scan(m, text, yield)
		for _, s := range open {
			if !yield(s) {
				return
			}
		}
	}
}

// hideBegun replaces what begins a form and ends at the sign for a cut.
func (m *matcher) hideBegun(text string) string {
	var b strings.Builder
	var state int32
	done := 0
	for i := range len(text) {
		if text[i] == cutSign[0] && strings.HasPrefix(text[i:], cutSign) {
			if n := int(m.nodes[state].depth); n >= MinLength && i-n >= done {
				b.WriteString(text[done : i-n])
				b.WriteString(Mark)
				done = i
			}
		}
		state = m.step(state, text[i])
	}
	b.WriteString(text[done:])
	return b.String()
}

// safe is how much of the beginning of a stream can be redacted without knowing
// what follows.
func (m *matcher) safe(text []byte) int {
	state, open := scan(m, text, func(span) bool { return true })
	n := len(text) - int(m.nodes[state].depth)
	for _, s := range slices.Backward(open) {
		if s.to > n {
			n = min(n, s.from)
		}
	}
	return n
}
