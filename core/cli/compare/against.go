package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/runner-pipelines/runner/core/cli/paint"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/runs"
)

// None leaves the comparison out.
const None = "none"

// Against compares a plan with that of a run, by any reference that runs.Find
// takes; with "latest" it is the newest run that was no way back, and nil when
// there is none or with None. prog may be nil: the plan is read again.
func Against(ctx context.Context, w *workspace.Workspace, p *plan.Plan, prog *program.Program, ref string) (*Difference, error) {
	if ref == None {
		return nil, nil
	}
	rec, old, err := earlier(ctx, w, p, ref)
	if err != nil || old == nil {
		return nil, err
	}
	was, err := w.Seen(old)
	if err == nil && prog == nil {
		prog, err = w.Seen(p)
	}
	if err != nil {
		text, _, _ := strings.Cut(w.Redactor.Redact(err.Error()), "\n")
		return &Difference{Run: rec.ID, Outcome: rec.Outcome, Unreadable: text}, nil
	}
	return Plans(rec, Side{old, was}, Side{p, prog}, w.Redactor), nil
}

func earlier(ctx context.Context, w *workspace.Workspace, p *plan.Plan, ref string) (runs.Record, *plan.Plan, error) {
	if ref != runs.Latest {
		rec, err := w.Runs.Find(ctx, ref)
		if err != nil {
			return rec, nil, err
		}
		old, err := planOf(ctx, w, rec)
		return rec, old, err
	}
	for rec, err := range w.Runs.List(ctx, runs.Filter{Pipeline: p.Pipeline}) {
		if err != nil || rec.PlanDigest == p.Digest() {
			continue
		}
		old, err := planOf(ctx, w, rec)
		if err == nil && old.Replays == "" {
			return rec, old, nil
		}
	}
	return runs.Record{}, nil, nil
}

func planOf(ctx context.Context, w *workspace.Workspace, rec runs.Record) (*plan.Plan, error) {
	b, err := w.Runs.Plan(ctx, rec.ID)
	if err != nil {
		return nil, err
	}
	p, err := plan.Decode(b)
	if errors.Is(err, plan.ErrNotPlan) {
		return nil, fmt.Errorf("plan of run %s: %w", rec.ID, err)
	}
	return p, err
}

// most is how many stages, and changes of one, are told; the others are counted.
const most = 12

// Write tells the difference to people.
func Write(out io.Writer, d *Difference, style paint.Style) {
	if d == nil {
		return
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	outcome := ""
	if d.Outcome != "" {
		outcome = " (" + view.Words(d.Outcome) + ")"
	}
	say("")
	say("%s%s", style.Bold.Render("Compared with run "+d.Run), outcome)
	if d.Unreadable != "" {
		say("  The two cannot be compared: %s", d.Unreadable)
		return
	}
	for _, c := range d.Around {
		say("  %s %s: %s → %s", style.Warn.Render("~"), c.Where, short(c.Was), short(c.Is))
	}
	names(say, style.Good.Render("+"), "new", d.New)
	names(say, style.Bad.Render("-"), "gone", d.Gone)
	groups := alike(d.Changed)
	for i, group := range groups {
		if i == most {
			left := 0
			for _, g := range groups[most:] {
				left += len(g)
			}
			say("  %s %d more differ", style.Warn.Render("~"), left)
			break
		}
		title := group[0].ID
		if len(group) > 1 {
			title = fmt.Sprintf("%s and %d alike", title, len(group)-1)
		}
		say("  %s %s", style.Warn.Render("~"), title)
		for j, c := range group[0].Changes {
			if j == most {
				say("      and %d more", len(group[0].Changes)-most)
				break
			}
			say("      %s: %s → %s", strings.TrimSpace(c.Where+" "+c.Path), short(c.Was), short(c.Is))
		}
	}
	if d.Same > 0 {
		stages := "stages are the same"
		if d.Same == 1 {
			stages = "stage is the same"
		}
		say("    %d %s", d.Same, stages)
	}
}

func names(say func(string, ...any), sign, what string, list []string) {
	for i, id := range list {
		if i == most {
			say("  %s %d more %s", sign, len(list)-most, what)
			return
		}
		say("  %s %s: %s", sign, id, what)
	}
}

// alike puts stages together of which the same changed, in the order of the first.
func alike(stages []Stage) [][]Stage {
	var out [][]Stage
	index := map[string]int{}
	for _, s := range stages {
		base, _, _ := strings.Cut(s.ID, "[")
		key := base + view.WithoutKey(s.ID, fmt.Sprintf("%q", s.Changes))
		at, ok := index[key]
		if !ok {
			at = len(out)
			index[key] = at
			out = append(out, nil)
		}
		out[at] = append(out[at], s)
	}
	return out
}

// short keeps a value to what fits beside another.
func short(s string) string {
	const room = 60
	if r := []rune(s); len(r) > room {
		return string(r[:room-1]) + "…"
	}
	return s
}
