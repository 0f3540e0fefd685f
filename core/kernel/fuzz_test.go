package kernel

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// FuzzEvents folds facts that no kernel wrote, as a journal by other hands would
// hold them. They may be refused; they must not break anything.
func FuzzEvents(f *testing.F) {
	g := randomGraph(rand.New(rand.NewPCG(7, 7)), 9)
	if err := g.Validate(); err != nil {
		f.Fatal(err)
	}
	s := New(g)
	var lines []string
	add := func(e Event) {
		if err := s.Evolve(e); err != nil {
			f.Fatal(err)
		}
		b, err := e.Encode()
		if err != nil {
			f.Fatal(err)
		}
		lines = append(lines, string(b))
	}
	add(Event{At: 1, Fact: RunOpened{Run: "r", Initiator: "ada"}})
	for _, e := range s.Decide() {
		b, err := e.Encode()
		if err != nil {
			f.Fatal(err)
		}
		lines = append(lines, string(b))
	}
	f.Add(strings.Join(lines, "\n"))
	for name := range factTypes {
		f.Add(lines[0] + "\n" + `{"t":"` + name + `","at":2,"d":{}}`)
		f.Add(lines[0] + "\n" + `{"t":"` + name + `","at":-1,"d":{"node":"` + g.Nodes[0].ID + `","target":"main","id":1,"env":"prod","wave":-1,"step":9}}`)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := New(g)
		for line := range strings.SplitSeq(text, "\n") {
			var e Event
			if json.Unmarshal([]byte(line), &e) != nil {
				continue
			}
			if _, err := e.Encode(); err != nil {
				t.Fatalf("%q was read, and cannot be written: %v", line, err)
			}
			if s.Evolve(e) != nil {
				return
			}
		}
		if _, err := s.Save(); err != nil {
			t.Fatal(err)
		}
		s.Nodes()
		s.Idle()
	})
}
