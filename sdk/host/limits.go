package host

import (
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/metricspb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/strategypb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/targetpb"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// What a plugin may say, whatever it was made with. Words for people are cut
// there; of anything else an answer beyond a limit breaks the protocol. Sizes
// are in bytes.
const (
	// MaxDetail is for the detail of a diagnostic, MaxText for every other text
	// for people.
	MaxDetail = 16 << 10
	MaxText   = 4 << 10
	// MaxDiagnostics is how many are read; the rest is counted.
	MaxDiagnostics = 100
	// MaxLogMessage, MaxLogAttrs and MaxLogAttr are for one line of log.
	MaxLogMessage = 64 << 10
	MaxLogAttrs   = 64
	MaxLogAttr    = 4 << 10
	// MaxName is for what names something: a release, a handle, a step.
	MaxName = 1 << 10
	// MaxWorld is for a version of the world.
	MaxWorld = 4 << 10
	// MaxHandle is for what is given back to Reconcile, MaxHandles how many one
	// operation may send.
	MaxHandle  = 64 << 10
	MaxHandles = 64
	// MaxUndo is for what is given back to Undo.
	MaxUndo = 128 << 10
	// MaxRelease is for a release with all that describes it.
	MaxRelease = 64 << 10
	// MaxEntries bounds every list: changes, releases, samples, paths.
	MaxEntries = 10_000
)

// cutText is the beginning of a text that is too long, and how much is missing.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return fmt.Sprintf("%s… (%d bytes left out)", strings.ToValidUTF8(s[:limit], ""), len(s)-limit)
}

// diagnostics reads no more of a list than people can.
func diagnostics(pb []*pluginpb.Diagnostic) diag.List {
	left := 0
	if len(pb) > MaxDiagnostics {
		left = len(pb) - MaxDiagnostics
		pb = pb[:MaxDiagnostics]
	}
	out := wire.DiagnosticsFromPB(pb)
	for i := range out {
		d := &out[i]
		d.Summary, d.Detail, d.Code = cutText(d.Summary, MaxText), cutText(d.Detail, MaxDetail), cutText(d.Code, MaxName)
		if len(d.Path) > MaxDiagnostics || len(d.Path.String()) > MaxText {
			d.Path = nil
		}
	}
	if left > 0 {
		out = append(out, diag.Diagnostic{
			Severity: diag.Error, Summary: "More diagnostics than are shown", Detail: fmt.Sprintf("The plugin sent %d more.", left),
		})
	}
	return out
}

// problem is nil for nil.
func problem(f *pluginpb.Failure) *diag.Problem {
	if f == nil {
		return nil
	}
	out := wire.FailureFromPB(&pluginpb.Failure{Retry: f.GetRetry(), After: f.GetAfter(), Effect: f.GetEffect()})
	if said := diagnostics(f.GetDiagnostics()); len(said) > 0 {
		out.Diagnostics = wire.WithError(said)
	}
	return out
}

// limited is the first complaint about what an answer holds.
type limited struct{ what string }

func (l *limited) bytes(what string, n, limit int) {
	if n > limit && l.what == "" {
		l.what = fmt.Sprintf("%s has %d bytes, at most %d are taken", what, n, limit)
	}
}

func (l *limited) entries(what string, n int) {
	if n > MaxEntries && l.what == "" {
		l.what = fmt.Sprintf("it sent %d %s, at most %d are taken", n, what, MaxEntries)
	}
}

func (l *limited) that(ok bool, format string, args ...any) {
	if !ok && l.what == "" {
		l.what = fmt.Sprintf(format, args...)
	}
}

func (l *limited) value(v *pluginpb.Value) {
	l.entries("paths", len(v.GetUnknown())+len(v.GetSensitive()))
}

func (l *limited) release(r *pluginpb.Release) {
	l.bytes("the id of a release", len(r.GetId()), MaxName)
	l.bytes("a release", proto.Size(r), MaxRelease)
}

func (l *limited) changes(c []*pluginpb.Change) {
	l.entries("changes", len(c))
	for _, c := range c {
		c.Subject, c.Summary = cutText(c.GetSubject(), MaxText), cutText(c.GetSummary(), MaxText)
	}
}

func (l *limited) handle(h *pluginpb.Handle) {
	l.bytes("the id of a handle", len(h.GetId()), MaxName)
	l.bytes("a handle", len(h.GetOpaque()), MaxHandle)
}

func (l *limited) outcome(o *pluginpb.Outcome) {
	l.value(o.GetOutputs())
	l.entries("artifacts", len(o.GetArtifacts()))
	l.bytes("what undoing needs", len(o.GetSealedUndo()), MaxUndo)
	l.bytes("the version of the world", len(o.GetWorldVersion()), MaxWorld)
	if o.GetRelease() != nil {
		l.release(o.GetRelease())
	}
}

// observation checks that a target can stand as it says.
func (l *limited) observation(r *targetpb.ObserveResponse) {
	l.bytes("the version of the world", len(r.GetWorldVersion()), MaxWorld)
	l.entries("releases", len(r.GetReleases())+len(r.GetWeights()))
	if l.what != "" {
		return
	}
	installed := map[string]bool{}
	for _, rel := range r.GetReleases() {
		l.release(rel)
		l.that(rel.GetId() != "", "a release has no id")
		l.that(!installed[rel.GetId()], "release %q is there twice", rel.GetId())
		installed[rel.GetId()] = true
	}
	l.that(r.GetStable() == "" || installed[r.GetStable()], "the stable release %q is not installed", cutText(r.GetStable(), MaxName))
	var sum target.Weight
	weighed := map[string]bool{}
	for _, w := range r.GetWeights() {
		weight := target.Weight(w.GetWeight())
		l.that(weight >= 0 && weight <= target.Full, "release %q has a weight of %s", cutText(w.GetRelease(), MaxName), weight)
		l.that(weight <= 0 || installed[w.GetRelease()], "release %q has traffic and is not installed", cutText(w.GetRelease(), MaxName))
		l.that(!weighed[w.GetRelease()], "release %q has two weights", w.GetRelease())
		weighed[w.GetRelease()] = true
		sum += weight
		l.that(sum <= target.Full, "the releases together have more than all of the traffic")
	}
}

// decision cuts what a strategy says to people.
func (l *limited) decision(r *strategypb.NextResponse) {
	l.entries("changes", len(r.GetChanges()))
	l.bytes("the id of a step", len(r.GetStep().GetId()), MaxName)
	l.bytes("the name of an approval or verification", max(len(r.GetWait().GetApproval()), len(r.GetWait().GetVerification())), MaxName)
	l.that(len(r.GetMemory()) <= strategy.MaxMemory, "the memory has %d bytes, at most %d are kept", len(r.GetMemory()), strategy.MaxMemory)
	for _, c := range r.GetChanges() {
		l.bytes("the name of a target", len(c.GetTarget()), MaxName)
	}
	r.Why, r.Abort = cutText(r.GetWhy(), MaxText), cutText(r.GetAbort(), MaxText)
	if r.GetStep() != nil {
		r.Step.Title = cutText(r.GetStep().GetTitle(), MaxText)
	}
}

// measurement checks that it is about what was asked, once each, in numbers.
// What the numbers are worth is the judge's business.
func (l *limited) measurement(r *metricspb.MeasureResponse, asked []target.Release) {
	l.entries("measurements", len(r.GetReleases()))
	if l.what != "" {
		return
	}
	wanted := map[string]bool{}
	for _, a := range asked {
		wanted[a.ID] = true
	}
	for _, m := range r.GetReleases() {
		id := m.GetRelease()
		open, known := wanted[id]
		l.that(known, "it measured release %q, which nobody asked for", cutText(id, MaxName))
		l.that(!known || open, "it measured release %q twice", id)
		wanted[id] = false
		l.measured(id, m)
	}
}

func (l *limited) measured(id string, m *metricspb.ReleaseMeasurement) {
	l.entries("samples", len(m.GetSamples().GetValues()))
	l.entries("buckets", len(m.GetHistogram().GetCounts()))
	if n := m.GetNoData(); n != nil {
		n.Reason = cutText(n.GetReason(), MaxText)
	}
	l.numbers(id, m.GetSamples().GetValues())
	l.numbers(id, m.GetHistogram().GetBounds())
}

// past checks that it is about the release that was asked for.
func (l *limited) past(r *metricspb.PastResponse, asked target.Release) {
	l.entries("windows of the past", len(r.GetWindows()))
	r.Reason = cutText(r.GetReason(), MaxText)
	for _, w := range r.GetWindows() {
		if l.what != "" {
			return
		}
		m := w.GetData()
		l.that(m.GetRelease() == asked.ID, "it told the past of release %q, which nobody asked for", cutText(m.GetRelease(), MaxName))
		l.measured(asked.ID, m)
	}
}

func (l *limited) numbers(id string, list []float64) {
	for _, x := range list {
		l.that(!math.IsNaN(x) && !math.IsInf(x, 0), "release %q has a measurement that is no number", id)
	}
}
