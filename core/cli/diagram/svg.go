package diagram

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nikolaydubina/go-graph-layout/layout"
)

// Sizes in pixels. The drawing runs from left to right; the layout library
// thinks from top to bottom, so that its x is our y.
const (
	nodeHeight = 34
	rowStep    = 56
	layerGap   = 48
	charWidth  = 7.6
	padding    = 14
	margin     = 16
	// orderly is up to how many nodes, bends of edges included, crossings are
	// looked for: the search is quadratic.
	orderly = 600
	rounds  = 8
)

// SVG is the diagram as a drawing by itself, with colours for light and dark.
func (d *Diagram) SVG() string {
	g := d.placed()
	width, height := 0, 0
	for _, n := range g.Nodes {
		width, height = max(width, n.XY[1]+n.H), max(height, n.XY[0]+n.W)
	}
	for _, e := range g.Edges {
		for _, p := range e.Path {
			width, height = max(width, p[1]), max(height, p[0])
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="the pipeline's stages" width="%d" height="%d" viewBox="0 0 %d %d" font-family="ui-monospace, monospace" font-size="12.5">`+"\n",
		width+2*margin, height+2*margin, width+2*margin, height+2*margin)
	b.WriteString(style())
	fmt.Fprintf(&b, "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path class=\"tip\" d=\"M0 0 8 4 0 8z\"/></marker></defs>\n<g transform=\"translate(%d %d)\">\n", margin, margin)
	for _, e := range d.Edges {
		writeEdge(&b, g, e)
	}
	for i, n := range d.Nodes {
		writeNode(&b, n, g.Nodes[uint64(i)])
	}
	b.WriteString("</g>\n</svg>\n")
	return b.String()
}

func style() string {
	var b strings.Builder
	b.WriteString("<style>.e{fill:none;stroke:#8c959f;stroke-width:1.2}.tip{fill:#8c959f}text{fill:#1f2328}.note{font-size:10px;opacity:.75}")
	for _, s := range states {
		fmt.Fprintf(&b, ".%s{fill:%s;stroke:%s;stroke-width:1.4}", s, colours[s][0], colours[s][1])
	}
	b.WriteString(".not_run{stroke-dasharray:4 3}</style>\n")
	return b.String()
}

func (n Node) width() int {
	if n.Barrier {
		return int(float64(utf8.RuneCountInString(n.Label))*charWidth) + 4*padding
	}
	chars := max(float64(utf8.RuneCountInString(n.Label))*charWidth, float64(utf8.RuneCountInString(n.Note))*charWidth*0.8)
	return int(chars) + 2*padding
}

// placed gives every node its place and every edge its bends.
func (d *Diagram) placed() layout.Graph {
	g := layout.Graph{Nodes: map[uint64]layout.Node{}, Edges: map[[2]uint64]layout.Edge{}}
	for i, n := range d.Nodes {
		g.Nodes[uint64(i)] = layout.Node{W: nodeHeight, H: n.width()}
	}
	for _, e := range d.Edges {
		g.Edges[[2]uint64{uint64(e[0]), uint64(e[1])}] = layout.Edge{}
	}
	if len(g.Nodes) == 0 {
		return g
	}
	layout.SugiyamaLayersStrategyGraphLayout{
		CycleRemover:                       acyclic{},
		LevelsAssigner:                     d.layers,
		OrderingAssigner:                   order,
		NodesHorizontalCoordinatesAssigner: layout.BrandesKopfLayersNodesHorizontalAssigner{Delta: rowStep},
		NodesVerticalCoordinatesAssigner:   layout.BasicNodesVerticalCoordinatesAssigner{MarginLayers: layerGap},
		EdgePathAssigner:                   layout.StraightEdgePathAssigner{}.UpdateGraphLayout,
	}.UpdateGraphLayout(g)
	return normal(g)
}

// acyclic stands for the search for cycles, which a plan has none of.
type acyclic struct{}

func (acyclic) RemoveCycles(layout.Graph) {}
func (acyclic) Restore(layout.Graph)      {}

// layers puts each node behind all that it waits for and gives every edge a bend
// in each layer that it crosses. The library's own way follows every path of the
// graph, of which there may be more than anybody can count.
func (d *Diagram) layers(layout.Graph) layout.LayeredGraph {
	lg := layout.LayeredGraph{
		Segments: map[[2]uint64]bool{}, Dummy: map[uint64]bool{}, NodeYX: map[uint64][2]int{}, Edges: map[[2]uint64][]uint64{},
	}
	level := make([]int, len(d.Nodes))
	// Edges are sorted by their first node, and every node comes after those
	// that it waits for: each level is final when it is passed on.
	for _, e := range d.Edges {
		level[e[1]] = max(level[e[1]], level[e[0]]+1)
	}
	for i, y := range level {
		lg.NodeYX[uint64(i)] = [2]int{y, 0}
	}
	bend := uint64(len(d.Nodes))
	for _, e := range d.Edges {
		from, to := uint64(e[0]), uint64(e[1])
		path := []uint64{from}
		for y := level[e[0]] + 1; y < level[e[1]]; y++ {
			lg.NodeYX[bend], lg.Dummy[bend] = [2]int{y, 0}, true
			path = append(path, bend)
			bend++
		}
		path = append(path, to)
		for i := range path[1:] {
			lg.Segments[[2]uint64{path[i], path[i+1]}] = true
		}
		lg.Edges[[2]uint64{from, to}] = path
	}
	return lg
}

// order sorts each layer, first as the plan does, then with fewer crossings. The
// same graph always gets the same order.
func order(_ layout.Graph, lg layout.LayeredGraph) {
	// A bend stands where its edge does.
	place := map[uint64][2]uint64{}
	for n := range lg.NodeYX {
		place[n] = [2]uint64{n, n}
	}
	for e, path := range lg.Edges {
		for _, n := range path[1 : len(path)-1] {
			place[n] = e
		}
	}
	layers := lg.Layers()
	for _, layer := range layers {
		slices.SortFunc(layer, func(a, b uint64) int {
			x, y := place[a], place[b]
			return slices.Compare(x[:], y[:])
		})
	}
	if len(lg.NodeYX) <= orderly {
		better := layout.CompositeLayerOrderingOptimizer{Optimizers: []layout.LayerOrderingOptimizer{
			layout.WMedianOrderingOptimizer{}, layout.SwitchAdjacentOrderingOptimizer{},
		}}
		for round := range rounds {
			downUp := round%2 == 0
			for i := range layers {
				if downUp {
					i = len(layers) - 1 - i
				}
				better.Optimize(lg.Segments, layers, i, downUp)
			}
		}
	}
	for y, layer := range layers {
		for x, n := range layer {
			lg.NodeYX[n] = [2]int{y, x}
		}
	}
}

// normal moves the drawing into the corner.
func normal(g layout.Graph) layout.Graph {
	first := true
	var left, top int
	for _, n := range g.Nodes {
		if first {
			left, top, first = n.XY[0], n.XY[1], false
		}
		left, top = min(left, n.XY[0]), min(top, n.XY[1])
	}
	for _, e := range g.Edges {
		for _, p := range e.Path {
			left, top = min(left, p[0]), min(top, p[1])
		}
	}
	for id, n := range g.Nodes {
		n.XY = [2]int{n.XY[0] - left, n.XY[1] - top}
		g.Nodes[id] = n
	}
	for id, e := range g.Edges {
		for i, p := range e.Path {
			e.Path[i] = [2]int{p[0] - left, p[1] - top}
		}
		g.Edges[id] = e
	}
	return g
}

// writeEdge draws a curve from the right side of one node through the bends to
// the left side of the other.
func writeEdge(b *strings.Builder, g layout.Graph, e [2]int) {
	from, to := g.Nodes[uint64(e[0])], g.Nodes[uint64(e[1])]
	path := g.Edges[[2]uint64{uint64(e[0]), uint64(e[1])}].Path
	points := [][2]int{{from.XY[1] + from.H, from.XY[0] + from.W/2}}
	if len(path) > 2 {
		for _, p := range path[1 : len(path)-1] {
			points = append(points, [2]int{p[1], p[0]})
		}
	}
	points = append(points, [2]int{to.XY[1] - 2, to.XY[0] + to.W/2})
	fmt.Fprintf(b, `<path class="e" marker-end="url(#tip)" d="M%d %d`, points[0][0], points[0][1])
	for i := 1; i < len(points); i++ {
		p, q := points[i-1], points[i]
		half := (p[0] + q[0]) / 2
		fmt.Fprintf(b, " C%d %d %d %d %d %d", half, p[1], half, q[1], q[0], q[1])
	}
	b.WriteString("\"/>\n")
}

func writeNode(b *strings.Builder, n Node, at layout.Node) {
	x, y, w, h := at.XY[1], at.XY[0], at.H, at.W
	fmt.Fprintf(b, "<g><title>%s</title>", html.EscapeString(n.ID))
	if n.Barrier {
		fmt.Fprintf(b, `<path class="%s" d="M%d %d %d %d %d %d %d %dz"/>`, n.State, x, y+h/2, x+w/2, y-2, x+w, y+h/2, x+w/2, y+h+2)
	} else {
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="7"/>`, n.State, x, y, w, h)
	}
	line := y + h/2 + 4
	if n.Note != "" {
		line -= 6
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`, x+w/2, line, html.EscapeString(n.Label))
	if n.Note != "" {
		fmt.Fprintf(b, `<text class="note" x="%d" y="%d" text-anchor="middle">%s</text>`, x+w/2, line+13, html.EscapeString(n.Note))
	}
	b.WriteString("</g>\n")
}
