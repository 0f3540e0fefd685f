// Package approve is runner approve and runner reject: a person's answer to a
// gate of a run.
package approve

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/engine"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/sdk/schema"
)

// Options of the commands.
type Options struct {
	Env     *command.Env
	Yes     bool
	Run     string
	Stage   string
	Gate    string
	Inputs  command.Repeated
	Comment string
}

const long = `The answer is about exactly what was planned and resolved: its subject. It carries
the name of the user who runs this program, unverified; gates that ask for groups
compare the local groups of that user.

Without STAGE and GATE it answers the one open gate; where several are open it lists
them. A run that nobody drives goes on with runner resume.`

// New is runner approve; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env, Yes: true}
	c := build(opts, runF, "approve", "Approve what a run waits for", "Approves what a run waits for.")
	c.Flags.Var(&opts.Inputs, "input", "give an input of the gate, as `name=value`")
	return c
}

// NewReject is runner reject.
func NewReject(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	return build(&Options{Env: env}, runF, "reject", "Reject what a run waits for", "Rejects what a run waits for: the stage does not run, and a rollout is taken back.")
}

func build(opts *Options, runF func(context.Context, *Options) error, name, short, first string) *command.Command {
	if runF == nil {
		runF = run
	}
	c := &command.Command{Name: name, Args: "[RUN [STAGE [GATE]]]", Short: short, Long: first + "\n\n" + long, Flags: command.NewFlags(name)}
	c.Flags.StringVar(&opts.Comment, "comment", "", "say why, in a `text` for the journal")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 3 {
			return c.Usage("runner %s takes a run, a stage and a gate.", name)
		}
		args = append(args, "", "", "")
		opts.Run, opts.Stage, opts.Gate = args[0], args[1], args[2]
		if opts.Run == "" {
			opts.Run = "latest"
		}
		return runF(ctx, opts)
	}
	return c
}

func run(ctx context.Context, opts *Options) error {
	w, err := workspace.OpenRuns(ctx, opts.Env)
	if err != nil {
		return err
	}
	defer w.Close()
	rec, err := w.Runs.Find(ctx, opts.Run)
	if err != nil {
		return err
	}
	past, err := drive.Past(ctx, w, rec)
	if err != nil {
		return err
	}
	node, gate, err := choose(opts, rec, past.State)
	if err != nil {
		return err
	}
	values, err := inputs(opts, gate)
	if err != nil {
		return err
	}
	answer := kernel.GateAnswered{
		Node: node, Gate: gate.Name, Subject: gate.Subject, Who: opts.Env.User, Groups: opts.Env.Groups,
		How: "local user name, unverified", Yes: opts.Yes, Values: values, Comment: opts.Comment,
	}
	if opts.Yes {
		if err := counts(opts, gate, past.State.Initiator()); err != nil {
			return err
		}
	}
	if err := engine.Send(ctx, w.Store, rec.ID, time.Now(), engine.Post{Answer: &answer}); err != nil {
		return err
	}
	return tell(ctx, opts, w, rec, node, gate)
}

// choose finds the gate that is meant among those that are open.
func choose(opts *Options, rec runs.Record, state *kernel.State) (string, kernel.GateView, error) {
	type open struct {
		node string
		gate kernel.GateView
	}
	var all, fit []open
	for _, n := range state.Nodes() {
		for _, g := range n.Gates {
			if !g.Open {
				continue
			}
			all = append(all, open{n.ID, g})
			if (opts.Stage == "" || opts.Stage == n.ID || "stage."+opts.Stage == n.ID) && (opts.Gate == "" || opts.Gate == g.Name) {
				fit = append(fit, open{n.ID, g})
			}
		}
	}
	if len(fit) == 1 {
		return fit[0].node, fit[0].gate, nil
	}
	if len(all) == 0 {
		return "", kernel.GateView{}, &command.ExitError{Code: command.Failed, Message: fmt.Sprintf("Error: Nothing to answer\n\nRun %s waits for nobody.", rec.ID)}
	}
	summary := "Several gates are open"
	if len(fit) == 0 {
		summary = "No such gate is open"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Error: %s\n\nRun %s waits for:\n", summary, rec.ID)
	verb := "reject"
	if opts.Yes {
		verb = "approve"
	}
	for _, o := range all {
		fmt.Fprintf(&b, "  runner %s %s '%s' %s\n", verb, rec.ID, o.node, o.gate.Name)
	}
	return "", kernel.GateView{}, &command.ExitError{Code: command.Failed, Message: strings.TrimRight(b.String(), "\n")}
}

// outcomes are the answers to a gate that asks what became of an operation.
var outcomes = []string{"happened", "again"}

// inputs reads the values that the gate asks for.
func inputs(opts *Options, gate kernel.GateView) (map[string]json.RawMessage, error) {
	values := map[string]json.RawMessage{}
	var names []string
	for _, in := range gate.Inputs {
		names = append(names, in.Name)
	}
	for _, pair := range opts.Inputs {
		name, text, ok := strings.Cut(pair, "=")
		i := slices.Index(names, name)
		if !ok || i < 0 {
			return nil, fmt.Errorf("-input=%s: gate %q takes inputs as name=value%s.%s", pair, gate.Name, listed(names), diagnostics.Suggest(name, names))
		}
		if gate.Kind == kernel.DoubtGate && !slices.Contains(outcomes, text) {
			return nil, fmt.Errorf("-input=%s: what became of the operation is one of %s.%s", pair, strings.Join(outcomes, ", "), diagnostics.Suggest(text, outcomes))
		}
		v, err := typed(gate.Inputs[i].Type, text)
		if err != nil {
			return nil, fmt.Errorf("-input=%s: %w", pair, err)
		}
		values[name] = v
	}
	if !opts.Yes {
		return values, nil
	}
	for _, in := range gate.Inputs {
		if _, given := values[in.Name]; !given && !in.Optional {
			return nil, fmt.Errorf("gate %q needs the input %q (%s): %s; give it with -input %s=…", gate.Name, in.Name, in.Type, in.Description, in.Name)
		}
	}
	return values, nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return ", and it has none"
	}
	return ": " + strings.Join(names, ", ")
}

// typed reads a value as a type: text as it is for strings, else JSON.
func typed(typ, text string) (json.RawMessage, error) {
	t, err := schema.ParseType(strings.ReplaceAll(strings.ReplaceAll(typ, " of ", "("), " ", ""))
	if err != nil {
		t = schema.Primitive(schema.Any)
	}
	if t.Kind == schema.String {
		return json.Marshal(text)
	}
	raw := json.RawMessage(text)
	if !json.Valid(raw) {
		if t.Kind == schema.Any {
			return json.Marshal(text)
		}
		return nil, fmt.Errorf("%q is not a %s", text, typ)
	}
	if err := schema.CheckValue(t, raw); err != nil {
		return nil, err
	}
	return raw, nil
}

// counts tells at once that an approval would not count.
func counts(opts *Options, gate kernel.GateView, initiator string) error {
	refuse := func(why string) error {
		return &command.ExitError{Code: command.Failed, Message: fmt.Sprintf("Error: Approval would not count\n\n%s", why)}
	}
	if gate.NotInitiator && opts.Env.User == initiator {
		return refuse(fmt.Sprintf("%s started the run, and gate %q asks somebody else.", initiator, gate.Name))
	}
	if len(gate.From) == 0 {
		return nil
	}
	for _, f := range gate.From {
		if name, ok := strings.CutPrefix(f, "user:"); ok && name == opts.Env.User {
			return nil
		}
		if name, ok := strings.CutPrefix(f, "group:"); ok && slices.Contains(opts.Env.Groups, name) {
			return nil
		}
	}
	return refuse(fmt.Sprintf("Gate %q asks %s, and %s is none of them.", gate.Name, strings.Join(gate.From, ", "), opts.Env.User))
}

func tell(ctx context.Context, opts *Options, w *workspace.Workspace, rec runs.Record, node string, gate kernel.GateView) error {
	word := "Rejected"
	if opts.Yes {
		word = "Approved"
	}
	fmt.Fprintf(opts.Env.Stdout, "%s %q of %s as %s (unverified).\n", word, gate.Name, node, opts.Env.User)
	if live, err := drive.Live(ctx, w, rec); err != nil || live {
		return err
	}
	fmt.Fprintf(opts.Env.Stdout, "Nobody drives the run at the moment. To go on:\n  runner resume %s\n", rec.ID)
	return nil
}
