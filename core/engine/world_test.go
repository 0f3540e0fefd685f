package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/artifact"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/core/redact"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/scope"
	"github.com/runner-pipelines/runner/core/seal"
	"github.com/runner-pipelines/runner/core/store/memstore"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

// actor is a plugin in this process with one action, "act": what it does is the
// test's. It is for faults that a real process shows only by chance. Its target,
// strategy and metrics are those of street.
type actor struct {
	unasked
	street
	act  func(ctx context.Context, c call.Call, text string, sink host.Sink) (string, error)
	done chan struct{}
}

// unasked is what no test asks for.
type unasked struct{ host.Plugin }

func (a *actor) Validate(context.Context, schema.Kind, string, value.Value) (diag.List, error) {
	return nil, nil
}

func (a *actor) RunAction(ctx context.Context, c call.Call, _ string, config value.Value, _ []byte, sink host.Sink) (host.Outcome, error) {
	var cfg struct{ Text string }
	if err := json.Unmarshal(config.JSON, &cfg); err != nil {
		return host.Outcome{}, err
	}
	said, err := a.act(ctx, c, cfg.Text, sink)
	if err != nil {
		return host.Outcome{}, err
	}
	out, err := json.Marshal(map[string]string{"said": said})
	return host.Outcome{Outputs: value.Value{JSON: out}}, err
}

func (a *actor) Done() <-chan struct{} { return a.done }
func (a *actor) Stop(time.Duration)    {}

// pool hands out one actor and notes who was quarantined.
type pool struct {
	plugin *actor
	// boxed is handed out instead, when it is set.
	boxed       *boxed
	mu          sync.Mutex
	quarantined int
}

func (p *pool) Get(context.Context, pluginhost.Spec) (host.Plugin, error) {
	if p.boxed != nil {
		return p.boxed, nil
	}
	return p.plugin, nil
}

func (p *pool) Quarantine(host.Plugin, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quarantined++
	close(p.plugin.done)
}

// bench is one run that can be driven by several engines, one after the other.
type bench struct {
	t      *testing.T
	dir    string
	store  *memstore.Store
	key    *seal.Key
	redact *redact.Redactor
	plan   *plan.Plan
	rec    runs.Record
	pool   *pool
	box    *box
	lock   *lockfile.File
	values scope.Values
	events []kernel.Event
	// limit is how long drive may take; a minute when 0.
	limit time.Duration
}

func text(name string, class schema.Class) host.Component {
	return host.Component{
		Name: name, Kind: schema.KindAction,
		Config:     schema.Schema{Attributes: []schema.Attribute{{Name: "text", Type: schema.Primitive(schema.String), Default: json.RawMessage(`""`)}}},
		Outputs:    &schema.Schema{Attributes: []schema.Attribute{{Name: "said", Type: schema.Primitive(schema.String)}}},
		Operations: []schema.Operation{{Name: "run", Class: class}},
	}
}

const head = `runner {
  required_plugins {
    acting = { source = "test/acting" }
  }
}
pipeline "t" {}
`

// newBench plans a pipeline of acts. Vars are "name=value".
func newBench(t *testing.T, body string, vars ...string) *bench {
	t.Helper()
	return newBenchOn(t, nil, body, vars...)
}

// newBenchOn is a bench with a box as its target and strategy.
func newBenchOn(t *testing.T, on *box, body string, vars ...string) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), store: memstore.New(), redact: redact.New(), pool: &pool{plugin: &actor{done: make(chan struct{})}}, box: on}
	if on != nil {
		b.pool.boxed = &boxed{box: on, actor: b.pool.plugin}
	}
	var err error
	if b.key, err = seal.ParseKey("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="); err != nil {
		t.Fatal(err)
	}
	entry, err := catalog.Store(b.schemas(), &host.Description{
		Name: "acting", Version: "1.0.0", Protocol: 1,
		Components: slices.Concat(traffic(), boxComponents(), []host.Component{text("act", schema.Once), text("again", schema.Convergent)}),
	})
	if err != nil {
		t.Fatal(err)
	}
	entry.Source = "test/acting"
	b.lock = &lockfile.File{Plugins: []*lockfile.Plugin{entry}}
	p, diags := config.LoadSources(map[string][]byte{"pipeline.hcl": []byte(head + body)}, config.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	b.values = scope.Values{Vars: vars}
	made, _, diags := plan.Make(t.Context(), plan.Options{
		Pipeline: p, Values: b.values, World: lang.OS(b.dir, b.dir, nil), Catalog: b.catalog(map[string]string{"acting": "test/acting"}),
		Plugins: b.pool, Key: b.key, Redactor: b.redact, Lock: b.lock.Bytes(), Lineage: "test", Runner: "0.0.0", Now: time.Now(),
	})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	encoded, err := made.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if b.plan, err = plan.Decode(encoded); err != nil {
		t.Fatal(err)
	}
	b.rec, err = runs.New(b.store).Create(t.Context(), runs.Record{Pipeline: "t", Initiator: "alice", PlanDigest: b.plan.Digest(), Opened: time.Now()}, encoded)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) schemas() string { return filepath.Join(b.dir, "schemas") }

func (b *bench) catalog(required map[string]string) *catalog.Catalog {
	return catalog.New(b.schemas(), b.lock, required)
}

// engine goes on with the run from what the journal says, as a new process does.
func (b *bench) engine(change func(*Config)) (*Engine, *kernel.State) {
	b.t.Helper()
	state := kernel.New(&b.plan.Graph)
	at := journal.Head{}
	for seg, err := range journal.Read(b.t.Context(), b.store, b.rec.ID, journal.Head{}) {
		if err != nil {
			b.t.Fatal(err)
		}
		for _, raw := range seg.Records {
			var ev kernel.Event
			if err := json.Unmarshal(raw, &ev); err != nil {
				b.t.Fatal(err)
			}
			if err := state.Evolve(ev); err != nil {
				b.t.Fatal(err)
			}
		}
		at = seg.Head
	}
	prog, diags := b.plan.Load(plan.LoadOptions{Dir: b.dir, Catalog: b.catalog, Key: b.key, Redactor: b.redact, Values: b.values})
	if diags.HasErrors() {
		b.t.Fatal(diags)
	}
	cfg := Config{
		Plan: b.plan, Program: prog, Run: b.rec, State: state, Journal: journal.At(b.store, b.rec.ID, at), Store: b.store, Plugins: b.pool,
		Key: b.key, Artifacts: artifact.Open(filepath.Join(b.dir, "artifacts")), ArtifactDir: filepath.Join(b.dir, "artifacts"), Dir: b.dir,
		Redactor: b.redact, Initiator: "alice", Runner: "0.0.0", StoreGrace: 20 * time.Millisecond,
		Observer: func(ev kernel.Event) { b.events = append(b.events, ev) },
	}
	if change != nil {
		change(&cfg)
	}
	return New(cfg), state
}

// drive lets an engine go on until it leaves.
func (b *bench) drive(change func(*Config)) (kernel.Idle, *kernel.State, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), max(b.limit, time.Minute))
	defer cancel()
	e, state := b.engine(change)
	idle, err := e.Run(ctx)
	return idle, state, err
}

// wantClosed drives the run to its end.
func (b *bench) wantClosed(outcome kernel.Outcome) *kernel.State {
	b.t.Helper()
	idle, state, err := b.drive(nil)
	if err != nil || idle != kernel.Closed || state.Outcome() != outcome {
		b.t.Fatalf("the run left %q with outcome %q, error %v; want it closed with %q\n%v", idle, state.Outcome(), err, outcome, state.Nodes())
	}
	return state
}

// acts makes the actor do something.
func (b *bench) acts(f func(ctx context.Context, c call.Call, text string, sink host.Sink) (string, error)) {
	b.pool.plugin.act = f
}

// echo says what it was told.
func echo(_ context.Context, _ call.Call, text string, _ host.Sink) (string, error) { return text, nil }

func chain(n int) string {
	body := `stage "s0" {
  use "act" {
    text = "a"
  }
}
`
	for i := 1; i < n; i++ {
		body += fmt.Sprintf("stage \"s%d\" {\n  use \"act\" {\n    text = \"${stage.s%d.said}b\"\n  }\n}\n", i, i-1)
	}
	return body
}
