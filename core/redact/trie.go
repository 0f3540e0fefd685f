package redact

// trie holds forms while a matcher is made of them.
type trie struct{ nodes []trieNode }

type trieNode struct {
	child   int32 // first of the nodes with one byte more; 0 for none
	sibling int32 // next node with the same text but for the last byte; 0 for none
	depth   int32 // length of the text
	by      byte  // last byte of the text
	form    bool  // the text is a form
}

// newTrie takes the forms in order, so that siblings are in order too.
func newTrie(sorted []string) *trie {
	size := 1
	for _, form := range sorted {
		size += len(form)
	}
	t := &trie{nodes: make([]trieNode, 1, size)}
	path := []int32{0} // nodes of the form before, from the root
	last := ""
	for _, form := range sorted {
		common := 0
		for common < min(len(last), len(form)) && last[common] == form[common] {
			common++
		}
		for i := common; i < len(form); i++ {
			n := int32(len(t.nodes))
			t.nodes = append(t.nodes, trieNode{by: form[i], depth: int32(i + 1)})
			if i+1 < len(path) {
				t.nodes[path[i+1]].sibling = n
			} else {
				t.nodes[path[i]].child = n
			}
			path = append(path[:i+1], n)
		}
		t.nodes[path[len(form)]].form = true
		last = form
	}
	return t
}

// matcher has the nodes of the trie and their edges, still without fail.
func (t *trie) matcher() *matcher {
	m := &matcher{nodes: make([]node, len(t.nodes)), edges: make([]edge, 0, len(t.nodes)-1)}
	for i, n := range t.nodes {
		out := node{first: int32(len(m.edges)), depth: n.depth}
		for c := n.child; c != 0; c = t.nodes[c].sibling {
			m.edges = append(m.edges, edge{to: c, by: t.nodes[c].by})
		}
		out.count = int32(len(m.edges)) - out.first
		if n.form {
			out.match = n.depth
		}
		m.nodes[i] = out
	}
	return m
}
