package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// goal is something that must hold before a wave may go on. It says whether it
// is reached, and if not, the decision that leads there. A goal keeps nothing:
// asked twice about the same snapshot it answers the same.
type goal func(*strategy.Snapshot) (d strategy.Decision, reached bool)

// pursue decides for the first goal that is not reached, and finishes when all
// are. Before them come the goals of every strategy: no harm, none of the named
// approvals rejected, the candidate installed and verified.
func pursue(s *strategy.Snapshot, approvals []string, goals ...goal) strategy.Decision {
	guards := []goal{unharmed, unrefused(approvals)}
	if len(moving(s)) == 0 {
		goals = nil
	} else {
		guards = append(guards, installed, verified)
	}
	for _, g := range append(guards, goals...) {
		if d, reached := g(s); !reached {
			return d
		}
	}
	return strategy.Decision{Finish: true, Why: "the candidate has all traffic"}
}

// unharmed aborts on a failed verdict of either scope.
func unharmed(s *strategy.Snapshot) (strategy.Decision, bool) {
	for _, v := range []strategy.Verdict{s.Harm, s.Step} {
		if v.Value == strategy.Fail {
			return abort("the analysis found the candidate harmful after %d observations", v.N)
		}
	}
	return strategy.Decision{}, true
}

// unrefused aborts when a person rejected one of the approvals, or a
// verification failed.
func unrefused(approvals []string) goal {
	return func(s *strategy.Snapshot) (strategy.Decision, bool) {
		for _, name := range approvals {
			if s.Approval(name) == strategy.No {
				return abort("approval %q was rejected", name)
			}
		}
		for _, v := range s.Verifications {
			if v.Value == strategy.No {
				return abort("verification %q failed", v.Name)
			}
		}
		return strategy.Decision{}, true
	}
}

// installed: every candidate is in place and ready to serve.
func installed(s *strategy.Snapshot) (strategy.Decision, bool) {
	d := strategy.Decision{Wait: strategy.Wait{Ready: true}}
	var missing, starting []string
	for _, t := range moving(s) {
		switch {
		case !t.Installed:
			d.Changes = append(d.Changes, strategy.Change{Target: t.Name, Kind: strategy.Install})
			missing = append(missing, t.Name)
		case !t.Ready:
			starting = append(starting, t.Name)
		}
	}
	switch {
	case missing != nil:
		d.Why = "install the candidate on " + strings.Join(missing, ", ")
	case starting != nil:
		d.Why = "the candidate is not ready yet on " + strings.Join(starting, ", ")
	default:
		return d, true
	}
	return d, false
}

// verified: every candidate passed the stage's verifications.
func verified(s *strategy.Snapshot) (strategy.Decision, bool) {
	for _, t := range moving(s) {
		if t.Verified {
			continue
		}
		for _, v := range s.Verifications {
			if v.Value != strategy.Yes {
				return strategy.Decision{
					Wait: strategy.Wait{Verification: v.Name},
					Why:  fmt.Sprintf("wait for verification %q", v.Name),
				}, false
			}
		}
		return strategy.Decision{
			Wait: strategy.Wait{Ready: true},
			Why:  "the candidate is not verified yet on " + t.Name,
		}, false
	}
	return strategy.Decision{}, true
}

// approved: people said yes to what comes next.
func approved(name, next string) goal {
	return func(s *strategy.Snapshot) (strategy.Decision, bool) {
		return strategy.Decision{
			Wait: strategy.Wait{Approval: name},
			Why:  fmt.Sprintf("wait for approval %q before %s", name, next),
		}, s.Approval(name) == strategy.Yes
	}
}

// weighted: every target has at least the weight. One that has more, from an
// earlier run, keeps it: a strategy takes nothing back.
func weighted(id, title string, w target.Weight) goal {
	return func(s *strategy.Snapshot) (strategy.Decision, bool) {
		d := strategy.Decision{Why: "give the candidate " + w.String(), Wait: strategy.Wait{Ready: true}}
		if _, entered := s.Entered(id); !entered {
			d.StepID, d.StepTitle = id, title
		}
		for _, t := range moving(s) {
			due := w
			if t.Stable == "" && w < target.Full {
				due = 0 // there is no second release to have the rest
			}
			if t.Observed < due || t.Desired < due {
				d.Changes = append(d.Changes, strategy.Change{Target: t.Name, Kind: strategy.SetWeight, Weight: due})
			}
		}
		return d, len(d.Changes) == 0
	}
}

// watched: after the weight was so, time passed and the analysis, where there is
// one, found the candidate good. The time counts from the entry of a step of its
// own, so a target that is slow to take a weight does not shorten it.
func watched(id, title string, long time.Duration) goal {
	return func(s *strategy.Snapshot) (strategy.Decision, bool) {
		if long == 0 && !analysed(s) {
			return strategy.Decision{}, true
		}
		d := strategy.Decision{}
		begun, entered := s.Entered(id)
		if !entered {
			d.StepID, d.StepTitle = id, title
			begun.At = s.Now
		}
		switch until := begun.At.Add(long); {
		case s.Now.Before(until):
			d.Wait.Until = until
			d.Why = title
		case analysed(s) && (!entered || s.Step.Value != strategy.Pass):
			d.Why = fmt.Sprintf("%s: not enough evidence yet (%d observations)", title, s.Step.N)
			d.Wait.Verdict = true
		default:
			return d, true
		}
		return d, false
	}
}

// moving are the targets that this rollout changes: one whose stable release is
// the candidate already has nothing to do.
func moving(s *strategy.Snapshot) []strategy.Target {
	out := make([]strategy.Target, 0, len(s.Targets))
	for _, t := range s.Targets {
		if t.Stable == "" || t.Stable != t.Candidate {
			out = append(out, t)
		}
	}
	return out
}

// first reports whether nothing serves yet that a share could be taken from.
func first(s *strategy.Snapshot) bool {
	return !slices.ContainsFunc(moving(s), func(t strategy.Target) bool { return t.Stable != "" })
}

// analysed reports whether the stage has an analysis.
func analysed(s *strategy.Snapshot) bool {
	return s.Harm.Value != strategy.NoAnalysis || s.Step.Value != strategy.NoAnalysis
}

// offered reports whether the stage has an approval with this name.
func offered(s *strategy.Snapshot, approval string) bool {
	return slices.ContainsFunc(s.Approvals, func(a strategy.Answer) bool { return a.Name == approval })
}

func abort(format string, args ...any) (strategy.Decision, bool) {
	return strategy.Decision{Abort: fmt.Sprintf(format, args...)}, false
}
