// Command runner-plugin-local runs commands and services on this machine: it is
// what a pipeline needs to be tried out, and the target of a team that deploys
// to a single host.
package main

import (
	"github.com/runner-pipelines/runner/plugins/local/internal/control"
	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/target"
)

// version is set by the build.
var version = "0.1.0"

func plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:     "local",
		Version:  version,
		Env:      wanted(),
		Commands: commands(),
		Actions: map[string]func() action.Action{
			"local_exec": func() action.Action { return NewExec() },
			"local_http": func() action.Action { return NewHTTP() },
			"local_noop": func() action.Action { return NewNoop() },
		},
		Targets: map[string]func() target.Target{
			"local_service": func() target.Target { return NewService() },
		},
		Metrics: map[string]func() metrics.Metrics{
			"local_metrics": func() metrics.Metrics { return NewMetrics() },
		},
	}
}

// wanted are the environment variables that the plugin asks to see. Commands
// see no others, but for those that a stage gives them.
func wanted() map[string]string {
	const forCommands, forState, forRequests = "for commands", "for commands, and where services are recorded", "for commands and local_http"
	return map[string]string{
		"PATH": "where commands are looked up", "HOME": forState, "USER": forCommands, "LOGNAME": forCommands, "SHELL": forCommands,
		"LANG": forCommands, "LC_ALL": forCommands, "TZ": forCommands, "TERM": forCommands, "CI": forCommands, "TMPDIR": forCommands,
		"XDG_CACHE_HOME": forCommands, "XDG_CONFIG_HOME": forCommands, "XDG_STATE_HOME": forState, "RUNNER_LOCAL_DIR": "where services are recorded",
		"HTTP_PROXY": forRequests, "HTTPS_PROXY": forRequests, "NO_PROXY": forRequests, "SSL_CERT_FILE": forRequests, "SSL_CERT_DIR": forRequests,
		// Without these, programs on Windows do not start or find no place to write.
		"SYSTEMROOT": forCommands, "COMSPEC": forCommands, "PATHEXT": forCommands, "TEMP": forCommands, "TMP": forCommands,
		"USERPROFILE": forState, "APPDATA": forCommands, "LOCALAPPDATA": forCommands,
	}
}

func main() {
	minder = new(control.Minder)
	sdk.Serve(plugin())
}
