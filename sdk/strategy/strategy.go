// Package strategy is the kind of component that decides how traffic moves: a
// pure function from what is so to what should be so.
//
// Implement Strategy on the struct that is the component's configuration.
// Next has no context, no clock and no network on purpose. It is asked again
// whenever something changed, and may be asked again when nothing did.
package strategy

import (
	"time"

	"github.com/runner-pipelines/runner/sdk/target"
)

// Strategy decides for one wave of one rollout.
type Strategy interface {
	// Needs is what the strategy, as configured, asks of its targets.
	Needs() Needs
	// Next says which weights should be so now, or what to wait for, or that the
	// wave is finished, or that the rollout must be aborted. Equal snapshots get equal
	// decisions; the only clock is Snapshot.Now. It states what should be
	// so: what is so already is dropped by the core. It never walks back: it says
	// Abort, and the way back is the core's. With Harm = Fail it aborts at once.
	Next(Snapshot) (Decision, error)
}

// MaxMemory is the largest Decision.Memory in bytes.
const MaxMemory = 16 << 10

// Needs of a strategy. A target that cannot do all of it is refused at plan.
type Needs struct {
	// SideBySide: two releases at once.
	SideBySide bool
	// Weights is the least way of dividing traffic.
	Weights target.WeightKind
	// ReleaseAddress: a candidate with an address of its own.
	ReleaseAddress bool
	// ReleaseMetrics: metrics told apart by release.
	ReleaseMetrics bool
}

// Snapshot is all that a strategy may know.
type Snapshot struct {
	// Rollout names the rollout; Wave counts from 0.
	Rollout string
	Wave    int
	// Now is the only clock; UTC, whole milliseconds.
	Now time.Time
	// FirstDeployment: no target has a stable release.
	FirstDeployment bool
	// Targets of this wave.
	Targets []Target
	// Steps entered so far, oldest first.
	Steps []Step
	// Harm is over the whole rollout, Step since the present step began.
	Harm, Step Verdict
	// Approvals and Verifications that the stage offers, sorted by name.
	Approvals     []Answer
	Verifications []Answer
	// InFlight describes commands under way, for people.
	InFlight []string
	// LastFailure is empty when the last command did not fail.
	LastFailure string
	// Memory is from the last decision; nil at first.
	Memory []byte
}

// Target is one target of the wave.
type Target struct {
	Name         string
	Capabilities target.Capabilities
	// Stable and Candidate are release ids; Stable is empty before the first deployment.
	Stable, Candidate string
	// Installed and Ready speak of the candidate.
	Installed, Ready bool
	// Desired is the candidate's weight last asked for, Observed the one last read back.
	Desired, Observed target.Weight
	// Verified: every verification passed on this target.
	Verified bool
	// Address is where the candidate alone answers.
	Address string
}

// Step that was entered.
type Step struct {
	ID, Title string
	// At is when it was entered, later by what nobody watched since: to wait until
	// At plus a span is to watch for that span. A moment in Memory is not moved.
	At time.Time
}

// VerdictValue is what an analysis came to.
type VerdictValue string

const (
	// NoAnalysis means that the stage has none.
	NoAnalysis VerdictValue = ""
	// Pass means good enough to go on.
	Pass VerdictValue = "pass"
	// Fail means that harm was shown.
	Fail VerdictValue = "fail"
	// Inconclusive means not enough evidence.
	Inconclusive VerdictValue = "inconclusive"
)

// Verdict of one scope.
type Verdict struct {
	Value VerdictValue
	Since time.Time
	// N counts the observations behind it.
	N int64
}

// AnswerValue is where an approval or verification stands.
type AnswerValue string

const (
	// Unasked means that nobody has asked yet. Waiting for an approval asks.
	Unasked AnswerValue = ""
	// Pending means asked and not answered.
	Pending AnswerValue = "pending"
	// Yes means approved, or verified.
	Yes AnswerValue = "yes"
	// No means rejected, or not verified.
	No AnswerValue = "no"
)

// Answer of one approval or verification.
type Answer struct {
	Name  string
	Value AnswerValue
	Since time.Time
}

// Decision of a strategy.
type Decision struct {
	// Step is set when a step begins: an id unique in the wave, and a title for people.
	StepID, StepTitle string
	// Changes is what should be so.
	Changes []Change
	// Wait is what to wait for; any of what is set ends it.
	Wait Wait
	// Finish says that the wave is done: every candidate of it at full weight.
	Finish bool
	// Abort is the reason to take the rollout back; empty to go on.
	Abort string
	// Memory is given back with the next snapshot; at most MaxMemory bytes.
	Memory []byte
	// Why is one line for people.
	Why string
}

// ChangeKind is what a change states.
type ChangeKind string

const (
	// Install: the candidate should be installed.
	Install ChangeKind = "install"
	// SetWeight: the candidate should have Change.Weight.
	SetWeight ChangeKind = "weight"
	// Retire: the candidate, at weight 0, should be gone.
	Retire ChangeKind = "retire"
)

// Change is what should be so at one target.
type Change struct {
	Target string
	Kind   ChangeKind
	Weight target.Weight
}

// Wait is what to wait for.
type Wait struct {
	// Until is a moment; zero for none.
	Until time.Time
	// Verdict: a change of a verdict.
	Verdict bool
	// Approval and Verification are names; empty for none.
	Approval     string
	Verification string
	// Ready: every change asked for is so.
	Ready bool
}

// IsZero reports whether nothing is waited for.
func (w Wait) IsZero() bool { return w == Wait{} }

// Answer finds an approval by name; Unasked when the stage does not offer it.
func (s *Snapshot) Approval(name string) AnswerValue { return find(s.Approvals, name) }

// Verification finds a verification by name.
func (s *Snapshot) Verification(name string) AnswerValue { return find(s.Verifications, name) }

// Entered finds the step with this id.
func (s *Snapshot) Entered(id string) (Step, bool) {
	for _, st := range s.Steps {
		if st.ID == id {
			return st, true
		}
	}
	return Step{}, false
}

func find(answers []Answer, name string) AnswerValue {
	for _, a := range answers {
		if a.Name == name {
			return a.Value
		}
	}
	return Unasked
}
