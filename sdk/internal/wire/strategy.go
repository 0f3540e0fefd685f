package wire

import (
	"fmt"

	"github.com/runner-pipelines/runner/sdk/internal/wire/strategypb"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

var verdictValues = newEnum("verdict", strategypb.VerdictValue_VERDICT_VALUE_UNSPECIFIED, map[strategy.VerdictValue]strategypb.VerdictValue{
	strategy.NoAnalysis:   strategypb.VerdictValue_VERDICT_VALUE_UNSPECIFIED,
	strategy.Pass:         strategypb.VerdictValue_VERDICT_VALUE_PASS,
	strategy.Fail:         strategypb.VerdictValue_VERDICT_VALUE_FAIL,
	strategy.Inconclusive: strategypb.VerdictValue_VERDICT_VALUE_INCONCLUSIVE,
})

var answerValues = newEnum("answer", strategypb.AnswerValue_ANSWER_VALUE_UNSPECIFIED, map[strategy.AnswerValue]strategypb.AnswerValue{
	strategy.Unasked: strategypb.AnswerValue_ANSWER_VALUE_UNSPECIFIED,
	strategy.Pending: strategypb.AnswerValue_ANSWER_VALUE_PENDING,
	strategy.Yes:     strategypb.AnswerValue_ANSWER_VALUE_YES,
	strategy.No:      strategypb.AnswerValue_ANSWER_VALUE_NO,
})

func verdictToPB(v strategy.Verdict) *strategypb.Verdict {
	return &strategypb.Verdict{Value: verdictValues.toPB(v.Value), Since: TimeToPB(v.Since), N: v.N}
}

func verdictFromPB(v *strategypb.Verdict) (strategy.Verdict, error) {
	value, err := verdictValues.strict(v.GetValue())
	return strategy.Verdict{Value: value, Since: TimeFromPB(v.GetSince()), N: v.GetN()}, err
}

func answersToPB(a []strategy.Answer) []*strategypb.Answer {
	return list(a, func(a strategy.Answer) *strategypb.Answer {
		return &strategypb.Answer{Name: a.Name, Value: answerValues.toPB(a.Value), Since: TimeToPB(a.Since)}
	})
}

func answersFromPB(in []*strategypb.Answer) ([]strategy.Answer, error) {
	var out []strategy.Answer
	for _, a := range in {
		value, err := answerValues.strict(a.GetValue())
		if err != nil {
			return nil, fmt.Errorf("%q: %w", a.GetName(), err)
		}
		out = append(out, strategy.Answer{Name: a.GetName(), Value: value, Since: TimeFromPB(a.GetSince())})
	}
	return out, nil
}

// SnapshotToPB leaves Memory out, which travels beside the snapshot.
func SnapshotToPB(s strategy.Snapshot) *strategypb.Snapshot {
	return &strategypb.Snapshot{
		Rollout: s.Rollout, Wave: int32(s.Wave), Now: TimeToPB(s.Now), FirstDeployment: s.FirstDeployment,
		Targets: list(s.Targets, func(t strategy.Target) *strategypb.TargetState {
			return &strategypb.TargetState{
				Name: t.Name, Capabilities: CapabilitiesToPB(t.Capabilities), Stable: t.Stable, Candidate: t.Candidate,
				Installed: t.Installed, Ready: t.Ready, Desired: int32(t.Desired), Observed: int32(t.Observed),
				Verified: t.Verified, Address: t.Address,
			}
		}),
		Steps: list(s.Steps, func(st strategy.Step) *strategypb.StepEntered {
			return &strategypb.StepEntered{Id: st.ID, Title: st.Title, At: TimeToPB(st.At)}
		}),
		Harm: verdictToPB(s.Harm), Step: verdictToPB(s.Step),
		Approvals: answersToPB(s.Approvals), Verifications: answersToPB(s.Verifications),
		InFlight: s.InFlight, LastFailure: s.LastFailure,
	}
}

// SnapshotFromPB fails on verdicts and answers that this side does not know.
func SnapshotFromPB(s *strategypb.Snapshot, memory []byte) (strategy.Snapshot, error) {
	out := strategy.Snapshot{
		Rollout: s.GetRollout(), Wave: int(s.GetWave()), Now: TimeFromPB(s.GetNow()), FirstDeployment: s.GetFirstDeployment(),
		Steps: list(s.GetSteps(), func(st *strategypb.StepEntered) strategy.Step {
			return strategy.Step{ID: st.GetId(), Title: st.GetTitle(), At: TimeFromPB(st.GetAt())}
		}),
		InFlight: s.GetInFlight(), LastFailure: s.GetLastFailure(),
	}
	if len(memory) > 0 {
		out.Memory = memory
	}
	for _, t := range s.GetTargets() {
		caps, err := CapabilitiesFromPB(t.GetCapabilities())
		if err != nil {
			return out, fmt.Errorf("target %q: %w", t.GetName(), err)
		}
		out.Targets = append(out.Targets, strategy.Target{
			Name: t.GetName(), Capabilities: caps, Stable: t.GetStable(), Candidate: t.GetCandidate(),
			Installed: t.GetInstalled(), Ready: t.GetReady(), Desired: target.Weight(t.GetDesired()), Observed: target.Weight(t.GetObserved()),
			Verified: t.GetVerified(), Address: t.GetAddress(),
		})
	}
	var err error
	if out.Harm, err = verdictFromPB(s.GetHarm()); err != nil {
		return out, fmt.Errorf("harm: %w", err)
	}
	if out.Step, err = verdictFromPB(s.GetStep()); err != nil {
		return out, fmt.Errorf("step: %w", err)
	}
	if out.Approvals, err = answersFromPB(s.GetApprovals()); err != nil {
		return out, fmt.Errorf("approval %w", err)
	}
	if out.Verifications, err = answersFromPB(s.GetVerifications()); err != nil {
		return out, fmt.Errorf("verification %w", err)
	}
	return out, nil
}

// DecisionToPB fails on a kind of change that it does not know.
func DecisionToPB(d strategy.Decision) (*strategypb.NextResponse, error) {
	out := &strategypb.NextResponse{Finish: d.Finish, Abort: d.Abort, Memory: d.Memory, Why: d.Why}
	if d.StepID != "" || d.StepTitle != "" {
		out.Step = &strategypb.Step{Id: d.StepID, Title: d.StepTitle}
	}
	if !d.Wait.IsZero() {
		out.Wait = &strategypb.Wait{
			Until: TimeToPB(d.Wait.Until), Verdict: d.Wait.Verdict, Approval: d.Wait.Approval, Verification: d.Wait.Verification, Ready: d.Wait.Ready,
		}
	}
	for _, c := range d.Changes {
		change := &strategypb.TargetChange{Target: c.Target}
		switch c.Kind {
		case strategy.Install:
			change.Change = &strategypb.TargetChange_Install{Install: true}
		case strategy.SetWeight:
			change.Change = &strategypb.TargetChange_Weight{Weight: int32(c.Weight)}
		case strategy.Retire:
			change.Change = &strategypb.TargetChange_Retire{Retire: true}
		default:
			return nil, fmt.Errorf("unknown kind of change %q at target %q", c.Kind, c.Target)
		}
		out.Changes = append(out.Changes, change)
	}
	return out, nil
}

// DecisionFromPB fails on a change that says nothing and on a memory that is too large.
func DecisionFromPB(r *strategypb.NextResponse) (strategy.Decision, error) {
	w := r.GetWait()
	out := strategy.Decision{
		StepID: r.GetStep().GetId(), StepTitle: r.GetStep().GetTitle(), Finish: r.GetFinish(), Abort: r.GetAbort(), Why: r.GetWhy(),
		Wait: strategy.Wait{
			Until: TimeFromPB(w.GetUntil()), Verdict: w.GetVerdict(), Approval: w.GetApproval(), Verification: w.GetVerification(), Ready: w.GetReady(),
		},
	}
	if len(r.GetMemory()) > 0 {
		out.Memory = r.GetMemory()
	}
	if n := len(out.Memory); n > strategy.MaxMemory {
		return out, fmt.Errorf("the memory has %d bytes, at most %d are kept", n, strategy.MaxMemory)
	}
	for _, c := range r.GetChanges() {
		change := strategy.Change{Target: c.GetTarget()}
		switch x := c.GetChange().(type) {
		case *strategypb.TargetChange_Install:
			change.Kind = strategy.Install
		case *strategypb.TargetChange_Weight:
			change.Kind, change.Weight = strategy.SetWeight, target.Weight(x.Weight)
		case *strategypb.TargetChange_Retire:
			change.Kind = strategy.Retire
		default:
			return out, fmt.Errorf("a change of target %q says nothing", c.GetTarget())
		}
		out.Changes = append(out.Changes, change)
	}
	return out, nil
}
