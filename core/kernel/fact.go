package kernel

import (
	"encoding/json"

	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Event is a fact with the moment it became known.
type Event struct {
	At   Time
	Fact Fact
}

// Fact is something that happened. The types below are all there are; their
// names in the journal never change their meaning.
type Fact interface{ FactType() string }

// RunOpened is the first fact of a run.
type RunOpened struct {
	Run string `json:"run"`
	// Nonce is a UUID from which idempotency keys are derived.
	Nonce     string `json:"nonce"`
	Plan      string `json:"plan"`
	Initiator string `json:"initiator"`
	// Parallelism is how many actions run at once.
	Parallelism int `json:"parallelism"`
	// Runner is the version that opened the run.
	Runner string `json:"runner,omitempty"`
}

// RunResumed means that another process goes on. What was under way is told
// lost by facts of its own.
type RunResumed struct {
	Host        string `json:"host"`
	PID         int    `json:"pid"`
	Initiator   string `json:"initiator"`
	Parallelism int    `json:"parallelism"`
	Runner      string `json:"runner,omitempty"`
	// Unwatched is the span before this moment in which no process drove the run.
	Unwatched Time `json:"unwatched,omitempty"`
}

// RunUnwatched means that for a span before this moment the process that drives
// the run did not see what happened: the machine slept, the process was stopped, or
// the clock was set forward. Nothing that was to be watched counts it.
type RunUnwatched struct {
	Span Time `json:"span"`
}

// StopMode is how a run is asked to stop.
type StopMode string

const (
	// StopAfter finishes the commands under way.
	StopAfter StopMode = "after"
	// StopNow cancels them.
	StopNow StopMode = "now"
)

// RunStopping means that this process will leave; the run can be resumed.
type RunStopping struct {
	Mode StopMode `json:"mode"`
	By   string   `json:"by,omitempty"`
}

// RunUnwinding means that the run will not go forward any more: rollouts take
// the way back, and with Undo finished actions are undone in reverse order.
type RunUnwinding struct {
	By   string `json:"by"`
	Why  string `json:"why,omitempty"`
	Undo bool   `json:"undo,omitempty"`
}

// RunClosed is the last fact of a run.
type RunClosed struct {
	Outcome Outcome `json:"outcome"`
}

// Outcome of a node or a run.
type Outcome string

const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
	// Skipped by its own when or run_if; satisfies those who wait for it.
	Skipped Outcome = "skipped"
	// NotRun because what it waits for did not succeed, or the run unwinds.
	NotRun Outcome = "not_run"
	// Rejected by people.
	Rejected Outcome = "rejected"
	// RolledBack cleanly.
	RolledBack Outcome = "rolled_back"
	// RollbackFailed needs people.
	RollbackFailed Outcome = "rollback_failed"
	// Cancelled by people before it was done.
	Cancelled Outcome = "cancelled"
)

// Satisfies reports whether successors with run_if = "success" may run.
func (o Outcome) Satisfies() bool { return o == Succeeded || o == Skipped }

// LockTaken ends TakeLock.
type LockTaken struct {
	Command int64  `json:"command"`
	Env     string `json:"env"`
	Fence   int64  `json:"fence"`
	// Over says from whom the lock was taken over, and why that was right; empty
	// when it was free.
	Over string `json:"over,omitempty"`
}

// LockFreed ends FreeLock.
type LockFreed struct {
	Command int64  `json:"command"`
	Env     string `json:"env"`
}

// NodeStarted means that a node's turn has come.
type NodeStarted struct {
	Node string `json:"node"`
}

// NodePlanned ends PlanNode.
type NodePlanned struct {
	Command int64  `json:"command"`
	Node    string `json:"node"`
	// Skip is the reason why the node has nothing to do or must not run; empty to go on.
	Skip string `json:"skip,omitempty"`
	// Digest names the node's resolved inputs, artifacts and stage plan.
	Digest string `json:"digest"`
	// World is the version of the world that the stage plan was made against.
	World string `json:"world,omitempty"`
	// Moved says how the world differs from the one that the run was planned
	// against; empty when it does not.
	Moved   string          `json:"moved,omitempty"`
	Targets []PlannedTarget `json:"targets,omitempty"`
	Budgets []PlannedBudget `json:"budgets,omitempty"`
}

// PlannedBudget is what was found of the error budget of an SLO.
type PlannedBudget struct {
	SLO string `json:"slo"`
	// Exhausted: nothing is left. Burning: it is being used up too fast. With either,
	// the SLO says whether the rollout may start.
	Exhausted bool `json:"exhausted,omitempty"`
	Burning   bool `json:"burning,omitempty"`
	// Why is what was found, for people.
	Why string `json:"why"`
}

// PlannedTarget is what was found at a target.
type PlannedTarget struct {
	Name string `json:"name"`
	// Stable is empty before the first deployment; equal to Candidate when there
	// is nothing to do.
	Stable    string `json:"stable,omitempty"`
	Candidate string `json:"candidate"`
	// Weight is the candidate's.
	Weight target.Weight `json:"weight,omitempty"`
	World  string        `json:"world,omitempty"`
	// StableRelease is the stable release as the target describes it.
	StableRelease json.RawMessage `json:"stable_release,omitempty"`
}

// NodeSettled means that a node is done with.
type NodeSettled struct {
	Node    string  `json:"node"`
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why,omitempty"`
}

// NodeUndoing means that a node takes its way back: after its own failure, or
// as part of a run that unwinds.
type NodeUndoing struct {
	Node string `json:"node"`
	Why  string `json:"why,omitempty"`
}

// NodeUndone is the end of the way back of a node that had been settled before.
type NodeUndone struct {
	Node string `json:"node"`
	OK   bool   `json:"ok"`
	Why  string `json:"why,omitempty"`
}

// CommandIssued is what was asked for.
type CommandIssued struct{ Command }

// CommandHandled holds an early handle.
type CommandHandled struct {
	Command int64  `json:"command"`
	ID      string `json:"id"`
	Opaque  []byte `json:"opaque,omitempty"`
}

// CommandSucceeded ends most commands.
type CommandSucceeded struct {
	Command int64 `json:"command"`
	// Result is kept for the node: outputs, artifacts, what undo needs; sealed where sensitive.
	Result json.RawMessage `json:"result,omitempty"`
	// World is the version after the command.
	World string `json:"world,omitempty"`
	// Address is where an installed release alone answers; Release is the installed
	// release as the target describes it.
	Address string          `json:"address,omitempty"`
	Release json.RawMessage `json:"release,omitempty"`
	// Logs names the chunks of the command's log.
	Logs string `json:"logs,omitempty"`
}

// CommandFailed ends any command.
type CommandFailed struct {
	Command int64   `json:"command"`
	Failure Failure `json:"failure"`
	Logs    string  `json:"logs,omitempty"`
}

// Failure is why a command failed and what may be done next.
type Failure struct {
	Summary string `json:"summary"`
	Detail  string `json:"detail,omitempty"`
	// Where is the source position, for people.
	Where string `json:"where,omitempty"`
	Code  string `json:"code,omitempty"`
	// Retry is "", "safe" or "after".
	Retry string `json:"retry,omitempty"`
	// After is a span.
	After Time `json:"after,omitempty"`
	// Effect is "", "none" or "done"; empty means that nobody knows.
	Effect string `json:"effect,omitempty"`
	// Cancelled: the command ended because it was asked to.
	Cancelled bool `json:"cancelled,omitempty"`
}

// CommandLost means that nobody knows what became of a command, and that what
// carried it out is gone.
type CommandLost struct {
	Command int64 `json:"command"`
	// Why is what is known of it, for people; may be empty.
	Why string `json:"why,omitempty"`
}

// CommandReconciled ends Reconcile.
type CommandReconciled struct {
	Command int64 `json:"command"`
	// Of is the lost command.
	Of int64 `json:"of"`
	// State is not_started, running, done or unknown.
	State string `json:"state"`
	// Retry is a span; 0 with unknown means that time cannot help.
	Retry Time `json:"retry,omitempty"`
	// Succeeded or Failed is set with done.
	Succeeded *CommandSucceeded `json:"succeeded,omitempty"`
	Failed    *CommandFailed    `json:"failed,omitempty"`
}

// TimerSet arms a timer; setting it again moves it.
type TimerSet struct {
	ID string `json:"id"`
	At Time   `json:"at"`
}

// TimerDropped disarms a timer.
type TimerDropped struct {
	ID string `json:"id"`
}

// TimerFired means that the moment has come.
type TimerFired struct {
	ID string `json:"id"`
}

// GateOpened asks people.
type GateOpened struct {
	Node string   `json:"node"`
	Gate string   `json:"gate"`
	Kind GateKind `json:"kind"`
	// Subject is what an answer is about; other content has another subject.
	Subject string `json:"subject"`
	// Why is one line for people.
	Why string `json:"why,omitempty"`
}

// GateAnswered is one person's word.
type GateAnswered struct {
	Node    string `json:"node"`
	Gate    string `json:"gate"`
	Subject string `json:"subject"`
	// Who is the person's name, Groups those it claims to be in, How the way both were verified.
	Who    string   `json:"who"`
	Groups []string `json:"groups,omitempty"`
	How    string   `json:"how"`
	// Yes or no.
	Yes     bool                       `json:"yes"`
	Values  map[string]json.RawMessage `json:"values,omitempty"`
	Comment string                     `json:"comment,omitempty"`
}

// GateClosed is what the answers came to.
type GateClosed struct {
	Node string `json:"node"`
	Gate string `json:"gate"`
	Yes  bool   `json:"yes"`
	Why  string `json:"why,omitempty"`
}

// RolloutOpened means that traffic may move from now on.
type RolloutOpened struct {
	Node string `json:"node"`
	// First: no target has a stable release.
	First bool `json:"first,omitempty"`
}

// WaveEntered means that the next targets have their turn.
type WaveEntered struct {
	Node string `json:"node"`
	Wave int    `json:"wave"`
}

// Decided ends AskStrategy; the kernel itself decides for rollouts without one.
type Decided struct {
	Command   int64    `json:"command,omitempty"`
	Node      string   `json:"node"`
	Wave      int      `json:"wave,omitempty"`
	StepID    string   `json:"step,omitempty"`
	StepTitle string   `json:"title,omitempty"`
	Changes   []Change `json:"changes,omitempty"`
	Wait      Wait     `json:"wait,omitzero"`
	Finish    bool     `json:"finish,omitempty"`
	Abort     string   `json:"abort,omitempty"`
	Memory    []byte   `json:"memory,omitempty"`
	Why       string   `json:"why,omitempty"`
}

// Change is what should be so at one target.
type Change struct {
	Target string              `json:"target"`
	Kind   strategy.ChangeKind `json:"kind"`
	Weight target.Weight       `json:"weight,omitempty"`
}

// Wait is what a strategy waits for.
type Wait struct {
	Until        Time   `json:"until,omitempty"`
	Verdict      bool   `json:"verdict,omitempty"`
	Approval     string `json:"approval,omitempty"`
	Verification string `json:"verification,omitempty"`
	Ready        bool   `json:"ready,omitempty"`
}

// Judged ends Measure: what was measured and what the judge says of it.
type Judged struct {
	Command int64  `json:"command"`
	Node    string `json:"node"`
	// Looks is what was measured.
	Looks json.RawMessage `json:"looks,omitempty"`
	Harm  Verdict         `json:"harm"`
	Step  Verdict         `json:"step"`
	// State is the judge's, given back with the next look.
	State json.RawMessage `json:"state,omitempty"`
	// Burn is what is remembered of the error budgets, given back with the next look.
	Burn json.RawMessage `json:"burn,omitempty"`
	// Shown is the evidence of each metric that is compared, for people.
	Shown json.RawMessage `json:"shown,omitempty"`
	// Judge is its version, Evidence the digest of all that was measured.
	Judge    string `json:"judge"`
	Evidence string `json:"evidence"`
	// Until is up to when the measurement is complete.
	Until Time `json:"until"`
}

// Verdict of one scope.
type Verdict struct {
	Value strategy.VerdictValue `json:"value"`
	N     int64                 `json:"n"`
	Why   string                `json:"why,omitempty"`
	// NoData says that there was nothing to judge.
	NoData bool `json:"no_data,omitempty"`
}

// Verified ends Verify.
type Verified struct {
	Command int64  `json:"command"`
	Node    string `json:"node"`
	Target  string `json:"target"`
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Why     string `json:"why,omitempty"`
	Logs    string `json:"logs,omitempty"`
}

// TargetObserved ends Observe.
type TargetObserved struct {
	Command int64  `json:"command"`
	Node    string `json:"node"`
	Target  string `json:"target"`
	Stable  string `json:"stable,omitempty"`
	// Installed and Weight speak of the candidate.
	Installed bool          `json:"installed,omitempty"`
	Weight    target.Weight `json:"weight,omitempty"`
	World     string        `json:"world,omitempty"`
}

// RolloutAborting means that the way back begins.
type RolloutAborting struct {
	Node string `json:"node"`
	Why  string `json:"why"`
	// Outcome that the node will have when the way back succeeds.
	Outcome Outcome `json:"outcome"`
}

// RolloutHalted means that a failed rollout stays as it is until it is resumed
// or taken back.
type RolloutHalted struct {
	Node string `json:"node"`
	Why  string `json:"why"`
}

// RolloutParked means that all traffic goes to the stable release while people
// are waited for; with On false the rollout goes on where it was.
type RolloutParked struct {
	Node string `json:"node"`
	On   bool   `json:"on"`
}

// RolloutSettling means that every wave is done.
type RolloutSettling struct {
	Node string `json:"node"`
}

// TargetLeft means that the last step at a target was given up: a release without
// traffic stays, or with Failed, the way back failed and people are needed.
type TargetLeft struct {
	Node   string `json:"node"`
	Target string `json:"target"`
	Failed bool   `json:"failed,omitempty"`
	Why    string `json:"why"`
}

// RolloutClosed is the end of a rollout.
type RolloutClosed struct {
	Node string `json:"node"`
	// Result is promoted, aborted or failed.
	Result string `json:"result"`
	Why    string `json:"why,omitempty"`
}

// Noted is a remark for people.
type Noted struct {
	Node string `json:"node,omitempty"`
	By   string `json:"by,omitempty"`
	Text string `json:"text"`
}
