package plan

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/target"
)

// sample has something in every part of a plan.
func sample() *Plan {
	return &Plan{
		Runner: "0.1.0", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Salt: []byte("salt"), Lineage: "state", Pipeline: "shop",
		Sources:   map[string][]byte{"pipeline.hcl": []byte("pipeline \"shop\" {}\n")},
		Variables: map[string]Variable{"a": {Type: []byte(`"string"`), Value: []byte(`"x"`)}, "token": {Hash: "hash"}},
		World:     []byte{0, 1, 2}, Lock: []byte("# lock\n"),
		Graph: kernel.Graph{Pools: map[string]int{"db": 1}, Nodes: []kernel.Node{
			{ID: "stage.build", Kind: kernel.ActionNode, Pool: "db", Action: &kernel.Action{Class: schema.Once}},
			{ID: "stage.web", Kind: kernel.RolloutNode, After: []int{0}, Rollout: &kernel.Rollout{Targets: []kernel.Target{{Name: "main"}}, Waves: [][]int{{0}}}},
		}},
		Nodes: []Node{
			{ID: "stage.build", Kind: kernel.ActionNode, Component: "make", Sealed: []byte("sealed"), Changes: []call.Change{{Action: call.Run, Subject: "make"}}},
			{ID: "stage.web", Kind: kernel.RolloutNode, Targets: []Target{{Name: "main", Stable: "r-1", Candidate: "r-2"}},
				Simulation: &Simulation{Steps: []Step{{Title: "50%", Targets: []string{"main"}, Weight: 50 * target.OnePercent}}, Decisions: 3}},
		},
	}
}

func encoded(t testing.TB, p *Plan) []byte {
	t.Helper()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeGivesWhatWasEncoded(t *testing.T) {
	p := sample()
	b := encoded(t, p)
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got, cmp.AllowUnexported(Plan{})); diff != "" {
		t.Errorf("decoded plan (-want +got):\n%s", diff)
	}
	if got.Digest() == "" || got.Digest() != got.Graph.Plan {
		t.Errorf("digest %q, the graph's is %q", got.Digest(), got.Graph.Plan)
	}
	if again := encoded(t, got); !bytes.Equal(b, again) {
		t.Error("encoding again gives other bytes")
	}
}

func TestDigestNamesEverything(t *testing.T) {
	digests := map[string]string{}
	for name, change := range map[string]func(*Plan){
		"nothing":  func(*Plan) {},
		"salt":     func(p *Plan) { p.Salt = []byte("other") },
		"lineage":  func(p *Plan) { p.Lineage = "other" },
		"source":   func(p *Plan) { p.Sources["pipeline.hcl"] = []byte("pipeline \"shop\" {}") },
		"variable": func(p *Plan) { p.Variables["a"] = Variable{Type: []byte(`"string"`), Value: []byte(`"y"`)} },
		"hash":     func(p *Plan) { p.Variables["token"] = Variable{Hash: "other"} },
		"world":    func(p *Plan) { p.World[0]++ },
		"lock":     func(p *Plan) { p.Lock = nil },
		"graph":    func(p *Plan) { p.Graph.Nodes[0].Timeout = 1 },
		"target":   func(p *Plan) { p.Nodes[1].Targets[0].Stable = "r-0" },
		"replays":  func(p *Plan) { p.Replays = "run" },
	} {
		p := sample()
		change(p)
		encoded(t, p)
		if other, ok := digests[p.Digest()]; ok {
			t.Errorf("plans that differ in %s and %s have the same digest", name, other)
		}
		digests[p.Digest()] = name
	}
}

// damaged checks that bytes which are no whole plan are refused as such.
func damaged(t *testing.T, what string, b []byte) {
	t.Helper()
	p, err := Decode(b)
	var damage *DamageError
	if p != nil || !errors.Is(err, ErrNotPlan) && !errors.As(err, &damage) {
		t.Errorf("%s: plan %v, error %v", what, p != nil, err)
	}
}

func TestDecodeRefusesEveryChangedByte(t *testing.T) {
	b := encoded(t, sample())
	for i := range b {
		for _, bit := range []byte{1, 0x80} {
			changed := bytes.Clone(b)
			changed[i] ^= bit
			damaged(t, "a changed byte", changed)
		}
	}
}

func TestDecodeRefusesEveryCut(t *testing.T) {
	b := encoded(t, sample())
	for i := range b {
		damaged(t, "a cut", b[:i])
	}
	damaged(t, "more than a plan", append(bytes.Clone(b), 0))
}

// What has the right digest may still not be a plan: somebody wrote it.
func TestDecodeRefusesForgedPlans(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"a node without a description": func(p *Plan) { p.Nodes = p.Nodes[:1] },
		"a node that waits for itself": func(p *Plan) { p.Graph.Nodes[0].After = []int{0} },
		"two nodes of one name":        func(p *Plan) { p.Graph.Nodes[1].ID = p.Graph.Nodes[0].ID },
		"a rollout without targets":    func(p *Plan) { p.Graph.Nodes[1].Rollout = nil },
		"a wave of nobody":             func(p *Plan) { p.Graph.Nodes[1].Rollout.Waves = [][]int{{7}} },
		"a pool without places":        func(p *Plan) { p.Graph.Pools = nil },
	} {
		p := sample()
		change(p)
		damaged(t, name, encoded(t, p))
	}
}

func TestDecodeTellsOfNewerPlans(t *testing.T) {
	b := bytes.Replace(encoded(t, sample()), []byte("runner plan 1"), []byte("runner plan 2"), 1)
	_, err := Decode(b)
	if !errors.Is(err, ErrNotPlan) || err.Error() != "not a runner plan of a version that this runner reads: it was made by a newer one" {
		t.Errorf("error %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	b := encoded(f, sample())
	f.Add(b)
	f.Add(b[:len(Magic)])
	f.Add([]byte("runner plan 2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(b)
		if (p == nil) == (err == nil) {
			t.Fatalf("plan %v, error %v", p, err)
		}
		if err != nil {
			damaged(t, "refused bytes", b)
			return
		}
		if _, err := Decode(encoded(t, p)); err != nil {
			t.Errorf("what was decoded cannot be decoded again: %v", err)
		}
	})
}

// The digest keeps a fuzzer out; this one gives every content the right digest.
func FuzzContent(f *testing.F) {
	p := sample()
	content, err := json.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte(`{"Graph":{"Nodes":[{"ID":"a","After":[0]}]},"Nodes":[{"ID":"a"}]}`))
	f.Add([]byte(`{"Graph":null,"Nodes":[null]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		var packed bytes.Buffer
		z, err := gzip.NewWriterLevel(&packed, gzip.NoCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(packed.Bytes())
		b := append([]byte(Magic+hex.EncodeToString(sum[:])+"\n"), packed.Bytes()...)
		p, err := Decode(b)
		if err != nil {
			damaged(t, "refused content", b)
			return
		}
		// What the rest of the program does first with a plan.
		kernel.New(&p.Graph).Decide()
		if _, err := Decode(encoded(t, p)); err != nil {
			t.Errorf("what was decoded cannot be decoded again: %v", err)
		}
	})
}
