package wire

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// list converts one by one; it is nil for an empty list.
func list[A, B any](in []A, convert func(A) B) []B {
	if len(in) == 0 {
		return nil
	}
	out := make([]B, len(in))
	for i, x := range in {
		out[i] = convert(x)
	}
	return out
}

// TimeToPB is nil for the zero time.
func TimeToPB(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// TimeFromPB is in UTC; zero for a moment outside the years 1 to 9999.
func TimeFromPB(t *timestamppb.Timestamp) time.Time {
	if t == nil || !t.IsValid() {
		return time.Time{}
	}
	return t.AsTime()
}

// DurationToPB is nil for zero.
func DurationToPB(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// DurationFromPB saturates at the longest duration.
func DurationFromPB(d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.AsDuration()
}

func PathToPB(p value.Path) *pluginpb.Path {
	return &pluginpb.Path{Steps: list(p, func(s value.Step) *pluginpb.Step {
		if s.IsIndex {
			return &pluginpb.Step{Step: &pluginpb.Step_Index{Index: int64(s.Index)}}
		}
		return &pluginpb.Step{Step: &pluginpb.Step_Name{Name: s.Name}}
	})}
}

func PathFromPB(p *pluginpb.Path) value.Path {
	return list(p.GetSteps(), func(s *pluginpb.Step) value.Step {
		if i, ok := s.GetStep().(*pluginpb.Step_Index); ok {
			return value.Index(int(i.Index))
		}
		return value.Name(s.GetName())
	})
}

func PathsToPB(p []value.Path) []*pluginpb.Path   { return list(p, PathToPB) }
func PathsFromPB(p []*pluginpb.Path) []value.Path { return list(p, PathFromPB) }

func ValueToPB(v value.Value) *pluginpb.Value {
	return &pluginpb.Value{Json: v.JSON, Unknown: PathsToPB(v.Unknown), Sensitive: PathsToPB(v.Sensitive)}
}

// ValueFromPB is an empty object when there is none.
func ValueFromPB(v *pluginpb.Value) value.Value {
	if len(v.GetJson()) == 0 {
		return value.Empty()
	}
	return value.Value{JSON: v.GetJson(), Unknown: PathsFromPB(v.GetUnknown()), Sensitive: PathsFromPB(v.GetSensitive())}
}

func CallToPB(c call.Call) *pluginpb.Call {
	return &pluginpb.Call{
		Key: c.Key, Run: c.Run, Pipeline: c.Pipeline, Node: c.Node, Environment: c.Environment, Target: c.Target,
		Attempt: int32(c.Attempt), Deadline: TimeToPB(c.Deadline), Traceparent: c.Traceparent, Tracestate: c.Tracestate,
	}
}

func CallFromPB(c *pluginpb.Call) call.Call {
	return call.Call{
		Key: c.GetKey(), Run: c.GetRun(), Pipeline: c.GetPipeline(), Node: c.GetNode(), Environment: c.GetEnvironment(), Target: c.GetTarget(),
		Attempt: int(c.GetAttempt()), Deadline: TimeFromPB(c.GetDeadline()), Traceparent: c.GetTraceparent(), Tracestate: c.GetTracestate(),
	}
}

func ArtifactToPB(a call.Artifact) *pluginpb.Artifact {
	return &pluginpb.Artifact{Digest: a.Digest, MediaType: a.MediaType, Uri: a.URI, Size: a.Size, Labels: a.Labels, Path: a.Path}
}

func ArtifactFromPB(a *pluginpb.Artifact) call.Artifact {
	return call.Artifact{Digest: a.GetDigest(), MediaType: a.GetMediaType(), URI: a.GetUri(), Size: a.GetSize(), Labels: a.GetLabels(), Path: a.GetPath()}
}

func ArtifactsToPB(a []call.Artifact) []*pluginpb.Artifact   { return list(a, ArtifactToPB) }
func ArtifactsFromPB(a []*pluginpb.Artifact) []call.Artifact { return list(a, ArtifactFromPB) }

func ReleaseToPB(r target.Release) *pluginpb.Release {
	out := &pluginpb.Release{Id: r.ID, Version: r.Version, Labels: r.Labels, Address: r.Address, Created: TimeToPB(r.Created)}
	if r.Artifact != nil {
		out.Artifact = ArtifactToPB(*r.Artifact)
	}
	return out
}

func ReleaseFromPB(r *pluginpb.Release) target.Release {
	out := target.Release{ID: r.GetId(), Version: r.GetVersion(), Labels: r.GetLabels(), Address: r.GetAddress(), Created: TimeFromPB(r.GetCreated())}
	if r.GetArtifact() != nil {
		a := ArtifactFromPB(r.GetArtifact())
		out.Artifact = &a
	}
	return out
}

func ReleasesToPB(r []target.Release) []*pluginpb.Release   { return list(r, ReleaseToPB) }
func ReleasesFromPB(r []*pluginpb.Release) []target.Release { return list(r, ReleaseFromPB) }

// HandleToPB is nil for nil.
func HandleToPB(h *call.Handle) *pluginpb.Handle {
	if h == nil {
		return nil
	}
	return &pluginpb.Handle{Id: h.ID, Opaque: h.Opaque}
}

// HandleFromPB is nil for nil.
func HandleFromPB(h *pluginpb.Handle) *call.Handle {
	if h == nil {
		return nil
	}
	return &call.Handle{ID: h.GetId(), Opaque: h.GetOpaque()}
}

var changeActions = newEnum("change", pluginpb.ChangeAction_CHANGE_ACTION_RUN, map[call.ChangeAction]pluginpb.ChangeAction{
	call.Create: pluginpb.ChangeAction_CHANGE_ACTION_CREATE,
	call.Update: pluginpb.ChangeAction_CHANGE_ACTION_UPDATE,
	call.Delete: pluginpb.ChangeAction_CHANGE_ACTION_DELETE,
	call.Run:    pluginpb.ChangeAction_CHANGE_ACTION_RUN,
})

func ChangesToPB(c []call.Change) []*pluginpb.Change {
	return list(c, func(c call.Change) *pluginpb.Change {
		return &pluginpb.Change{Action: changeActions.toPB(c.Action), Subject: c.Subject, Summary: c.Summary}
	})
}

// ChangesFromPB reads a change it does not know as something that runs.
func ChangesFromPB(c []*pluginpb.Change) []call.Change {
	return list(c, func(c *pluginpb.Change) call.Change {
		return call.Change{Action: changeActions.fromPB(c.GetAction()), Subject: c.GetSubject(), Summary: c.GetSummary()}
	})
}

var waysBack = newEnum("way back", pluginpb.WayBack_WAY_BACK_NONE, map[call.WayBack]pluginpb.WayBack{
	call.NoWayBack:  pluginpb.WayBack_WAY_BACK_NONE,
	call.BestEffort: pluginpb.WayBack_WAY_BACK_BEST_EFFORT,
	call.Exact:      pluginpb.WayBack_WAY_BACK_EXACT,
})

func WayBackToPB(w call.WayBack) pluginpb.WayBack { return waysBack.toPB(w) }

// WayBackFromPB reads what it does not know as none.
func WayBackFromPB(w pluginpb.WayBack) call.WayBack { return waysBack.fromPB(w) }
