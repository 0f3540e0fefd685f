package plan

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"github.com/hashicorp/hcl/v2"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"golang.org/x/sync/errgroup"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/redact"
	"github.com/runner-pipelines/runner/core/scope"
	"github.com/runner-pipelines/runner/core/seal"
	"github.com/runner-pipelines/runner/sdk/host"
)

// Plugins gives the process that serves a slot.
type Plugins interface {
	Get(ctx context.Context, spec pluginhost.Spec) (host.Plugin, error)
}

// Options of Make.
type Options struct {
	Pipeline *config.Pipeline
	Values   scope.Values
	World    lang.World
	Catalog  *catalog.Catalog
	Plugins  Plugins
	Key      *seal.Key
	// Redactor learns what is sensitive.
	Redactor *redact.Redactor
	// Lock is the text of the lock file.
	Lock []byte
	// Lineage names the state; see store.Store.
	Lineage string
	// Runner is this program's version.
	Runner string
	Now    time.Time
	// Artifacts is the directory of the artifact store: paths below it are told
	// apart by content, not by place.
	Artifacts string
}

// Make plans a run. The plan is nil when there are errors; the program never is,
// so that what was read can be shown.
func Make(ctx context.Context, opts Options) (*Plan, *program.Program, hcl.Diagnostics) {
	recorder := lang.NewRecorder(opts.World)
	prog, diags := program.New(opts.Pipeline, program.Options{Catalog: opts.Catalog, Values: opts.Values, World: recorder, Redactor: opts.Redactor})
	if diags.HasErrors() {
		return nil, prog, diags
	}
	p := &Plan{
		Runner: opts.Runner, Created: opts.Now.UTC(), Salt: seal.NewSalt(), Lineage: opts.Lineage,
		Pipeline: opts.Pipeline.Name, Sources: opts.Pipeline.Sources, Lock: opts.Lock,
		Graph: graphOf(prog),
	}
	m := &maker{opts: opts, plan: p, prog: prog}
	diags = append(diags, m.nodes(ctx)...)
	if diags.HasErrors() {
		return nil, prog, diagnostics.Tidy(diags)
	}
	if err := m.remember(recorder.Record()); err != nil {
		diags = append(diags, diagnostics.Error(hcl.Range{}, "Plan could not be made", "%s", err))
		return nil, prog, diags
	}
	if _, err := p.Encode(); err != nil {
		diags = append(diags, diagnostics.Error(hcl.Range{}, "Plan could not be made", "%s", err))
		return nil, prog, diags
	}
	return p, prog, diagnostics.Tidy(diags)
}

type maker struct {
	opts Options
	plan *Plan
	prog *program.Program
}

// nodes plans every node, several at once, and keeps their order.
func (m *maker) nodes(ctx context.Context) hcl.Diagnostics {
	nodes := m.prog.Nodes
	m.plan.Nodes = make([]Node, len(nodes))
	found := make([]hcl.Diagnostics, len(nodes))
	var g errgroup.Group
	g.SetLimit(4 * runtime.GOMAXPROCS(0))
	for i, n := range nodes {
		m.plan.Nodes[i] = Node{ID: n.ID, Kind: n.Kind, Environment: n.Environment()}
		if n.Kind == kernel.BarrierNode {
			continue
		}
		g.Go(func() error {
			found[i] = m.node(ctx, n, &m.plan.Nodes[i], &m.plan.Graph.Nodes[i])
			return nil
		})
	}
	_ = g.Wait()
	var diags hcl.Diagnostics
	for _, d := range found {
		diags = append(diags, d...)
	}
	return diags
}

// remember keeps what the plan was based on: the outside world sealed,
// sensitive variables as salted hashes.
func (m *maker) remember(record lang.Record) error {
	world, err := json.Marshal(record)
	if err != nil {
		return err
	}
	m.plan.World = m.opts.Key.Seal(world, worldPlace(m.plan.Salt))
	m.plan.Variables = map[string]Variable{}
	for name, v := range m.prog.Scope.Variables() {
		sensitive := lang.IsSensitive(v)
		v, _ = v.UnmarkDeep()
		typ, err := ctyjson.MarshalType(v.Type())
		if err != nil {
			return fmt.Errorf("variable %s: %w", name, err)
		}
		value, err := ctyjson.Marshal(v, v.Type())
		if err != nil {
			return fmt.Errorf("variable %s: %w", name, err)
		}
		if sensitive {
			m.plan.Variables[name] = Variable{Hash: seal.Hash(m.plan.Salt, value)}
		} else {
			m.plan.Variables[name] = Variable{Type: typ, Value: value}
		}
	}
	return nil
}

func worldPlace(salt []byte) seal.Place {
	return seal.Place{Run: hex.EncodeToString(salt), Name: "world"}
}

// planPlace is where a plugin's own plan is sealed to.
func planPlace(salt []byte, node string) seal.Place {
	return seal.Place{Run: hex.EncodeToString(salt), Node: node, Name: "stage plan"}
}

// salted is a digest that tells nothing of what went in.
func salted(salt []byte, parts ...[]byte) string {
	h := hmac.New(sha256.New, salt)
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:", len(p))
		_, _ = h.Write(p)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
