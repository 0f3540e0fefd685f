package wire

import (
	"log/slog"
	"time"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
)

var severities = newEnum("severity", pluginpb.Severity_SEVERITY_ERROR, map[diag.Severity]pluginpb.Severity{
	diag.Error:   pluginpb.Severity_SEVERITY_ERROR,
	diag.Warning: pluginpb.Severity_SEVERITY_WARNING,
})

func DiagnosticsToPB(l diag.List) []*pluginpb.Diagnostic {
	return list(l, func(d diag.Diagnostic) *pluginpb.Diagnostic {
		out := &pluginpb.Diagnostic{Severity: severities.toPB(d.Severity), Summary: d.Summary, Detail: d.Detail, Code: d.Code}
		if len(d.Path) > 0 {
			out.Path = PathToPB(d.Path)
		}
		return out
	})
}

// DiagnosticsFromPB reads a severity it does not know as an error.
func DiagnosticsFromPB(l []*pluginpb.Diagnostic) diag.List {
	return list(l, func(d *pluginpb.Diagnostic) diag.Diagnostic {
		return diag.Diagnostic{
			Severity: severities.fromPB(d.GetSeverity()), Summary: d.GetSummary(), Detail: d.GetDetail(),
			Path: PathFromPB(d.GetPath()), Code: d.GetCode(),
		}
	})
}

var retries = newEnum("retry", pluginpb.Retry_RETRY_NEVER, map[diag.Retry]pluginpb.Retry{
	diag.Never: pluginpb.Retry_RETRY_NEVER,
	diag.Safe:  pluginpb.Retry_RETRY_SAFE,
	diag.Later: pluginpb.Retry_RETRY_AFTER,
})

var effects = newEnum("effect", pluginpb.Effect_EFFECT_UNKNOWN, map[diag.Effect]pluginpb.Effect{
	diag.Unknown: pluginpb.Effect_EFFECT_UNKNOWN,
	diag.None:    pluginpb.Effect_EFFECT_NONE,
	diag.Done:    pluginpb.Effect_EFFECT_DONE,
})

// FailureToPB is nil for nil.
func FailureToPB(p *diag.Problem) *pluginpb.Failure {
	if p == nil {
		return nil
	}
	return &pluginpb.Failure{
		Diagnostics: DiagnosticsToPB(WithError(p.Diagnostics)), Retry: retries.toPB(p.Retry),
		After: DurationToPB(p.After), Effect: effects.toPB(p.Effect),
	}
}

// FailureFromPB is nil for nil. What it does not know it reads as never to be
// tried again, and as an unknown effect.
func FailureFromPB(f *pluginpb.Failure) *diag.Problem {
	if f == nil {
		return nil
	}
	return &diag.Problem{
		Diagnostics: WithError(DiagnosticsFromPB(f.GetDiagnostics())), Retry: retries.fromPB(f.GetRetry()),
		After: DurationFromPB(f.GetAfter()), Effect: effects.fromPB(f.GetEffect()),
	}
}

// WithError makes sure that a failure says something.
func WithError(l diag.List) diag.List {
	if l.HasErrors() {
		return l
	}
	return append(l[:len(l):len(l)], diag.Diagnostic{Severity: diag.Error, Summary: "Operation failed", Detail: "The plugin gave no reason."})
}

// LogToPB writes one log line; attributes may be nil.
func LogToPB(at time.Time, level slog.Level, message string, attrs map[string]string, stream string) *pluginpb.Log {
	return &pluginpb.Log{Time: TimeToPB(at), Level: levelToPB(level), Message: message, Attributes: attrs, Stream: stream}
}

func levelToPB(l slog.Level) pluginpb.LogLevel {
	switch {
	case l < slog.LevelInfo:
		return pluginpb.LogLevel_LOG_LEVEL_DEBUG
	case l < slog.LevelWarn:
		return pluginpb.LogLevel_LOG_LEVEL_INFO
	case l < slog.LevelError:
		return pluginpb.LogLevel_LOG_LEVEL_WARN
	}
	return pluginpb.LogLevel_LOG_LEVEL_ERROR
}

// LevelFromPB reads a level it does not know as info.
func LevelFromPB(l pluginpb.LogLevel) slog.Level {
	switch l {
	case pluginpb.LogLevel_LOG_LEVEL_DEBUG:
		return slog.LevelDebug
	case pluginpb.LogLevel_LOG_LEVEL_WARN:
		return slog.LevelWarn
	case pluginpb.LogLevel_LOG_LEVEL_ERROR:
		return slog.LevelError
	}
	return slog.LevelInfo
}
