package sdk

import (
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/sdk/internal/handshake"
)

// logToHost makes slog's default logger write lines that the host understands.
func logToHost(w io.Writer) {
	slog.SetDefault(slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key {
			case slog.TimeKey:
				return slog.String(handshake.LogTime, a.Value.Time().Format(time.RFC3339Nano))
			case slog.LevelKey:
				return slog.String(handshake.LogLevel, strings.ToLower(a.Value.String()))
			case slog.MessageKey:
				return slog.String(handshake.LogMessage, a.Value.String())
			}
			return a
		},
	})))
}
