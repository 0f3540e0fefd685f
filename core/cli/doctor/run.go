package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/inbox"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/journal/witness"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
)

// patient is one run that is looked at.
type patient struct {
	x   *exam
	rec runs.Record
	// plan is nil when it cannot be read.
	plan *plan.Plan
	// sound is the end of what is whole, state what that comes to.
	sound journal.Head
	state *kernel.State
	// whole: the journal is sound to its end.
	whole bool
	// refs are what the facts say of logs, by command.
	refs map[int64][]string
	// copied is where the copy of the records lies, once it was made.
	copied string
}

// run looks at one run whose record is right.
func (x *exam) run(ctx context.Context, rec runs.Record) error {
	x.count("runs", 1)
	p := &patient{x: x, rec: rec, refs: map[int64][]string{}}
	for _, look := range []func(context.Context) error{p.claim, p.driver, p.readPlan, p.journal, p.snapshots, p.inbox, p.logs} {
		if err := look(ctx); err != nil {
			return err
		}
	}
	p.owner(ctx)
	return nil
}

// found notes a finding; a cure of a run is only tried when the run was asked for.
func (p *patient) found(f Finding) {
	f.Run = p.rec.ID
	if f.cure != nil {
		f.Commands = append([]string{"runner doctor -repair " + p.rec.ID}, f.Commands...)
		f.cure = p.carefully(f.cure)
		if p.x.opts.Run == "" {
			f.cure = nil
		}
	}
	p.x.found(f)
}

// damaged notes an error as a finding, unless it is no damage.
func (p *patient) damaged(err error, f Finding) error {
	before := len(p.x.findings)
	if err := p.x.damage(err, f); err != nil {
		return err
	}
	noted := p.x.findings[before]
	p.x.findings = p.x.findings[:before]
	p.found(noted)
	return nil
}

func (p *patient) claim(ctx context.Context) error {
	cure := func(ctx context.Context) (string, error) {
		return "it was written anew", p.x.w.Runs.Restore(ctx, p.rec)
	}
	run, err := p.x.w.Runs.Claim(ctx, p.rec.PlanDigest)
	switch {
	case err != nil:
		return p.damaged(err, Finding{Saved: "the record of the run says the same", cure: cure})
	case run == "":
		p.found(Finding{Severity: severe, Record: "the claim of plan " + p.rec.PlanDigest, Problem: "is missing", Saved: "the plan could open another run", cure: cure})
	case run != p.rec.ID:
		p.found(Finding{Severity: severe, Record: "the claim of plan " + p.rec.PlanDigest, Problem: "names run " + run})
	}
	return nil
}

// driver looks at the lock that the process which drives the run holds.
func (p *patient) driver(ctx context.Context) error {
	_, err := lock.FindRun(ctx, p.x.w.Store, p.rec.ID)
	damage, ok := errors.AsType[*lock.DamagedError](err)
	if !ok {
		return err
	}
	p.found(Finding{
		Severity: severe, Record: damage.Key, Problem: "cannot be read: it " + damage.Err.Error(),
		Saved: "on this machine another lock tells who drives the run; from elsewhere nobody can",
		cure: func(ctx context.Context) (string, error) {
			_, err := lock.ClearRun(ctx, p.x.w.Store, p.rec.ID, lock.Broken{By: p.x.w.Env.User, Host: p.x.w.Env.Host, At: p.x.now.UTC(), Why: "runner doctor: it was damaged"})
			return "it was freed", err
		},
	})
	return nil
}

func (p *patient) readPlan(ctx context.Context) error {
	const lost = "without its plan the run cannot go on; its journal still tells what was done, and what stands must be looked after by hand"
	record := "the plan of run " + p.rec.ID
	encoded, err := p.x.w.Runs.Plan(ctx, p.rec.ID)
	if errors.As(err, new(*runs.NotFoundError)) {
		p.found(Finding{Severity: severe, Record: record, Problem: "is missing", Saved: lost})
		return nil
	}
	if err != nil {
		return err
	}
	read, err := plan.Decode(encoded)
	switch {
	case err != nil:
		p.found(Finding{Severity: severe, Record: record, Problem: "cannot be read: " + err.Error(), Saved: lost})
		return nil
	case read.Digest() != p.rec.PlanDigest:
		p.found(Finding{Severity: severe, Record: record, Problem: fmt.Sprintf("is %s, and the run was opened with %s", read.Digest(), p.rec.PlanDigest), Saved: lost})
		return nil
	}
	p.plan = read
	if p.x.w.Key != nil && p.rec.Closed.IsZero() {
		if err := read.OpensWith(p.x.w.Key); err != nil {
			p.found(Finding{Severity: severe, Record: record, Problem: "does not open: " + err.Error(), Saved: "give the state key that the run was opened with in RUNNER_STATE_KEY"})
		}
	}
	return nil
}

// journal reads the chain and folds it.
func (p *patient) journal(ctx context.Context) error {
	if p.plan != nil {
		p.state = kernel.New(&p.plan.Graph)
	}
	ends := drive.NewEnds(p.x.w.HeadDir(), p.rec)
	facts := 0
	for seg, err := range journal.Read(ctx, p.x.w.Store, p.rec.ID, journal.Head{}) {
		if err == nil {
			ends.Pass(seg.Head)
			err = p.fold(seg, ends)
		}
		if newer, ok := errors.AsType[*drive.NewerError](err); ok {
			p.found(Finding{Severity: severe, Record: "the journal of run " + p.rec.ID, Problem: "is newer: " + newer.Error(), Saved: newer.Advice()})
			return nil
		}
		if err != nil {
			return p.broken(ctx, err, facts)
		}
		p.x.count("segments", 1)
		p.x.count("facts", len(seg.Records))
		facts += len(seg.Records)
		p.sound = seg.Head
	}
	p.whole = true
	return p.end(ctx, ends, facts)
}

// fold reads the facts of a segment.
func (p *patient) fold(seg journal.Segment, ends *drive.Ends) error {
	if p.state == nil {
		return nil
	}
	for i, raw := range seg.Records {
		ends.Wrote(raw)
		ev, err := drive.Fold(p.state, raw)
		if err != nil {
			return ends.Explain(seg.Number, i+1, err)
		}
		p.note(ev.Fact)
	}
	return nil
}

// note keeps what facts say of other records.
func (p *patient) note(f kernel.Fact) {
	command, ref := int64(0), ""
	switch f := f.(type) {
	case kernel.CommandSucceeded:
		command, ref = f.Command, f.Logs
	case kernel.CommandFailed:
		command, ref = f.Command, f.Logs
	case kernel.Verified:
		command, ref = f.Command, f.Logs
	}
	if ref != "" {
		p.refs[command] = append(p.refs[command], ref)
	}
}

// broken tells of a journal that is not whole, and how far it is.
func (p *patient) broken(ctx context.Context, err error, facts int) error {
	saved := p.prefix(facts)
	later, effects, lost := 0, []string(nil), 0
	for seg, err := range journal.Beyond(ctx, p.x.w.Store, p.rec.ID, p.sound.Number) {
		if err != nil {
			lost++
			continue
		}
		later++
		effects = append(effects, effectsOf(seg)...)
	}
	if later > 0 {
		saved += fmt.Sprintf("; %d of the %d behind can be read, though they prove nothing", later, later+lost)
	}
	if len(effects) > 0 {
		saved += ". They say that these were asked for, and may have happened: " + strings.Join(effects, ", ")
	}
	saved += ". Who resumes the repaired run goes on from there: look first at what stands"
	return p.damaged(err, Finding{Saved: saved, cure: p.goBack})
}

func (p *patient) prefix(facts int) string {
	switch p.sound.Number {
	case 0:
		return "no segment before it is whole"
	case 1:
		return fmt.Sprintf("segment 1 is whole (%d facts)", facts)
	}
	return fmt.Sprintf("segments 1 to %d are whole (%d facts)", p.sound.Number, facts)
}

// effectsOf are the commands of a segment that change something outside.
func effectsOf(seg journal.Segment) []string {
	var out []string
	for _, raw := range seg.Records {
		var ev kernel.Event
		if json.Unmarshal(raw, &ev) != nil {
			continue
		}
		issued, ok := ev.Fact.(kernel.CommandIssued)
		if !ok {
			continue
		}
		switch issued.Kind {
		case kernel.RunAction, kernel.UndoAction, kernel.Install, kernel.Scale, kernel.SetWeight, kernel.Settle, kernel.Retire:
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s of %s %s", issued.Kind, issued.Node, issued.Target)))
		}
	}
	return out
}

// end looks for segments that are gone without a trace in the chain itself.
func (p *patient) end(ctx context.Context, ends *drive.Ends, facts int) error {
	if _, err := witness.Read(p.x.w.HeadDir(), p.rec.ID); err != nil && p.rec.Closed.IsZero() {
		finding := Finding{Severity: mild, Saved: "nobody can tell whether the journal's last segments are there", cure: p.look}
		if err := p.damaged(err, finding); err != nil {
			return err
		}
	}
	err := ends.Check()
	for snap, serr := range journal.Snapshots(ctx, p.x.w.Store, p.rec.ID) {
		if err == nil && serr == nil && snap.Number > p.sound.Number {
			err = &journal.DamageError{Run: p.rec.ID, Segment: p.sound.Number + 1, What: fmt.Sprintf("is missing, though it was written: there is a snapshot of segment %d", snap.Number)}
		}
	}
	if err == nil {
		return nil
	}
	p.whole = false
	return p.damaged(err, Finding{
		Saved: p.prefix(facts) + ". What came after was on this machine and is not in the state, as after a copy without its -wal file. Put the right copy back, or repair, look at what stands, and go on from there",
		cure:  p.goBack,
	})
}

// snapshots compares each with the facts that it stands for.
func (p *patient) snapshots(ctx context.Context) error {
	const saved = "the facts are all in the journal, and a snapshot is made of them"
	for snap, err := range journal.Snapshots(ctx, p.x.w.Store, p.rec.ID) {
		if err != nil {
			// Passed over by whoever resumes.
			if err := p.damaged(err, Finding{Severity: mild, Saved: saved, cure: p.anew}); err != nil {
				return err
			}
			continue
		}
		p.x.count("snapshots", 1)
		if p.plan == nil || snap.Number > p.sound.Number {
			continue
		}
		record := fmt.Sprintf("the snapshot of segment %d of run %s", snap.Number, p.rec.ID)
		kept, err := kernel.Restore(&p.plan.Graph, snap.State)
		if err != nil {
			p.found(Finding{Severity: mild, Record: record, Problem: "cannot be used: " + err.Error(), Saved: saved, cure: p.anew})
			continue
		}
		state, head, err := p.refold(ctx, snap.Number)
		if err != nil {
			return err
		}
		if problem := differs(kept, snap.Head, state, head); problem != "" {
			p.found(Finding{Severity: severe, Record: record, Problem: problem, Saved: saved, cure: p.anew})
		}
	}
	return nil
}

func differs(kept *kernel.State, at journal.Head, state *kernel.State, head journal.Head) string {
	if at.Hash != head.Hash {
		return "was made of another journal"
	}
	one, err := kept.Save()
	if err != nil {
		return "cannot be written again: " + err.Error()
	}
	two, err := state.Save()
	if err != nil {
		return "cannot be compared: " + err.Error()
	}
	if string(one) != string(two) {
		return "does not say what its facts come to"
	}
	return ""
}

// refold folds the journal up to a segment that is known to be sound.
func (p *patient) refold(ctx context.Context, upTo int) (*kernel.State, journal.Head, error) {
	state, head := kernel.New(&p.plan.Graph), journal.Head{}
	if upTo == 0 {
		return state, head, nil
	}
	for seg, err := range journal.Read(ctx, p.x.w.Store, p.rec.ID, journal.Head{}) {
		if err != nil {
			return nil, head, err
		}
		for _, raw := range seg.Records {
			if _, err := drive.Fold(state, raw); err != nil {
				return nil, head, err
			}
		}
		if head = seg.Head; head.Number == upTo {
			break
		}
	}
	return state, head, nil
}

func (p *patient) inbox(ctx context.Context) error {
	messages, err := inbox.Take(ctx, p.x.w.Store, p.rec.ID)
	if err != nil {
		return err
	}
	for _, m := range messages {
		p.x.count("messages", 1)
		if m.Damage == nil {
			continue
		}
		f := Finding{Saved: "whoever posted it must post it again"}
		if !strings.Contains(m.Damage.What, journal.ErrNewer.Error()) {
			f.cure = func(ctx context.Context) (string, error) {
				return "it was removed", inbox.Ack(ctx, p.x.w.Store, p.rec.ID, m.ID)
			}
		}
		if err := p.damaged(m.Damage, f); err != nil {
			return err
		}
	}
	return nil
}

func (p *patient) logs(ctx context.Context) error {
	const saved = "the other lines can be read with runner logs; a log decides nothing"
	commands, err := logs.Commands(ctx, p.x.w.Store, p.rec.ID)
	if err != nil {
		return p.damaged(err, Finding{Saved: saved})
	}
	told := map[string]bool{}
	note := func(err error) error {
		if told[err.Error()] {
			return nil
		}
		told[err.Error()] = true
		return p.damaged(err, Finding{Severity: mild, Saved: saved})
	}
	for _, c := range commands {
		for _, err := range logs.Read(ctx, p.x.w.Store, p.rec.ID, c) {
			if err != nil {
				if err := note(err); err != nil {
					return err
				}
			}
		}
	}
	for command, refs := range p.refs {
		for _, text := range refs {
			var ref logs.Ref
			if err := json.Unmarshal([]byte(text), &ref); err != nil {
				continue // the chain vouches for the text: an earlier form of it
			}
			p.x.count("log chunks", ref.Chunks)
			if err := logs.Verify(ctx, p.x.w.Store, p.rec.ID, strconv.FormatInt(command, 10), ref); err != nil {
				if err := note(err); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// owner finds a run that is half way and that nobody drives.
func (p *patient) owner(ctx context.Context) {
	if p.state == nil || !p.whole || !p.rec.Closed.IsZero() || p.x.driven(ctx, p.rec) {
		return
	}
	ways := []string{"runner resume " + p.rec.ID, "runner rollback " + p.rec.ID}
	var between []string
	for _, n := range p.state.Nodes() {
		if n.Rollout == nil || !n.Rollout.Between {
			continue
		}
		for _, t := range n.Rollout.Targets {
			between = append(between, fmt.Sprintf("%s %s at %s", n.ID, t.Name, t.Weight))
		}
	}
	switch {
	case between != nil:
		p.found(Finding{
			Severity: severe, Record: "run " + p.rec.ID, Problem: "stands between 0 and 100 % and nobody drives it: " + strings.Join(between, ", "),
			Saved: "the traffic stays divided until somebody goes on or back", Commands: ways,
		})
	case p.state.Idle() != kernel.WaitingForPeople && p.state.Idle() != kernel.Stopped:
		p.found(Finding{Severity: mild, Record: "run " + p.rec.ID, Problem: "is open and nobody drives it", Commands: ways})
	}
}
