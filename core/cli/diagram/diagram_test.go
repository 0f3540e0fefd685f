package diagram_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli/diagram"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/target"
)

var update = flag.Bool("update", false, "write the golden drawings")

// shop is a graph with everything that is drawn: instances, a barrier, an edge
// that follows from others, and each state.
func shop() (*kernel.Graph, []kernel.NodeView) {
	g := &kernel.Graph{Nodes: []kernel.Node{
		{ID: "stage.build", Kind: kernel.ActionNode},
		{ID: `stage.test["a \"b\" <c>"]`, Kind: kernel.ActionNode, After: []int{0}},
		{ID: "stage.lint", Kind: kernel.ActionNode},
		{ID: `stage.release["staging"]`, Kind: kernel.RolloutNode, After: []int{0, 1, 2}},
		{ID: "environment.staging", Kind: kernel.BarrierNode, After: []int{3}},
		{ID: `stage.release["prod"]`, Kind: kernel.RolloutNode, After: []int{0, 1, 2, 4}},
		{ID: "stage.tell", Kind: kernel.ActionNode, After: []int{0, 5}},
		{ID: "stage.alarm", Kind: kernel.ActionNode, After: []int{5}},
	}}
	views := make([]kernel.NodeView, len(g.Nodes))
	for i, n := range g.Nodes {
		views[i] = kernel.NodeView{ID: n.ID, Kind: n.Kind}
	}
	views[0].Outcome = kernel.Succeeded
	views[1].Outcome = kernel.Failed
	views[2].Outcome = kernel.Skipped
	views[3].Started = 1
	views[3].Rollout = &kernel.RolloutView{Targets: []kernel.TargetView{{Name: "eu", Weight: target.Full / 4}, {Name: "us"}}}
	views[5].Started, views[5].Gates = 1, []kernel.GateView{{Name: "go", Open: true}}
	return g, views
}

func TestDrawings(t *testing.T) {
	d := diagram.Of(shop())
	for name, got := range map[string]string{"shop.dot": d.DOT(), "shop.mmd": d.Mermaid(), "shop.svg": d.SVG()} {
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	for range 20 {
		if diagram.Of(shop()).SVG() != d.SVG() {
			t.Fatal("the same graph was drawn in two ways")
		}
	}
}

func TestEdgesThatFollowFromOthersAreLeftOut(t *testing.T) {
	g, _ := shop()
	want := [][2]int{{0, 1}, {1, 3}, {2, 3}, {3, 4}, {4, 5}, {5, 6}, {5, 7}}
	if diff := cmp.Diff(want, diagram.Of(g, nil).Edges); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Whatever the graph: well-formed, all stages there, none over another, none
// outside.
func TestSVGOfManyGraphs(t *testing.T) {
	for _, n := range []int{0, 1, 2, 30, 150, 900} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			g := &kernel.Graph{}
			for i := range n {
				node := kernel.Node{ID: fmt.Sprintf("stage.s%d", i), Kind: kernel.ActionNode}
				for _, back := range []int{i % 3, i%7 + 2, i%11 + 5} {
					if i-back >= 0 && back > 0 {
						node.After = append(node.After, i-back)
					}
				}
				g.Nodes = append(g.Nodes, node)
			}
			if boxes := boxesOf(t, diagram.Of(g, nil).SVG()); len(boxes) != n {
				t.Errorf("%d stages are drawn, of %d", len(boxes), n)
			}
		})
	}
}

type box struct{ x, y, w, h int }

func boxesOf(t *testing.T, svg string) []box {
	t.Helper()
	var boxes []box
	var width, height int
	in := xml.NewDecoder(strings.NewReader(svg))
	for {
		tok, err := in.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		el, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		num := func(name string) int {
			for _, a := range el.Attr {
				if a.Name.Local == name {
					n, err := strconv.Atoi(a.Value)
					if err != nil {
						t.Fatal(err)
					}
					return n
				}
			}
			return 0
		}
		switch el.Name.Local {
		case "svg":
			width, height = num("width"), num("height")
		case "rect":
			boxes = append(boxes, box{num("x"), num("y"), num("width"), num("height")})
		}
	}
	for i, a := range boxes {
		if a.x < 0 || a.y < 0 || a.x+a.w > width || a.y+a.h > height {
			t.Fatalf("%v is outside of %d × %d", a, width, height)
		}
		for _, b := range boxes[:i] {
			if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
				t.Fatalf("%v is over %v", a, b)
			}
		}
	}
	return boxes
}
