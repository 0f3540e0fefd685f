// Package handshake holds what both ends of a connection must agree on before
// the first call: the cookie, the protocol versions, names of environment
// variables, the largest message.
package handshake

import (
	"github.com/hashicorp/go-plugin"
)

const (
	// Protocol is the newest protocol version that this SDK speaks.
	Protocol = 1
	// Oldest is the oldest one that it still speaks.
	Oldest = 1

	cookieKey   = "RUNNER_PLUGIN_COOKIE"
	cookieValue = "8b1f2d0c6a3e49c7b95de21f70c4a86e"

	// EnvLifeline names the descriptor of a pipe that the host holds open as
	// long as it lives.
	EnvLifeline = "RUNNER_LIFELINE_FD"
	// EnvAlive names the descriptor that the process holds open as long as it
	// lives; unset when there is none.
	EnvAlive = "RUNNER_ALIVE_FD"
	// EnvCertificate holds the host's certificate in PEM form.
	EnvCertificate = "PLUGIN_CLIENT_CERT"

	// SocketPrefix begins the name of the directory that a host makes for sockets.
	SocketPrefix = "runner-plugin-"

	// LogTime, LogLevel and LogMessage are the keys of a log line in JSON.
	LogTime, LogLevel, LogMessage = "@timestamp", "@level", "@message"

	// Component is the only name that is dispensed: one connection serves all kinds.
	Component = "runner"

	// MaxMessage is the largest message in either direction, in bytes.
	MaxMessage = 16 << 20
)

// Config is what go-plugin compares on both ends.
func Config() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{MagicCookieKey: cookieKey, MagicCookieValue: cookieValue}
}

// Launched reports whether the environment, as os.Getenv reads it, was made by a host.
func Launched(getenv func(string) string) bool { return getenv(cookieKey) == cookieValue }

// Versions serves the same set under every version that this SDK speaks.
func Versions(set plugin.PluginSet) map[int]plugin.PluginSet {
	out := make(map[int]plugin.PluginSet)
	for v := Oldest; v <= Protocol; v++ {
		out[v] = set
	}
	return out
}

// Private lists the variables that the children of a plugin must not see.
func Private() []string {
	return []string{
		cookieKey, EnvLifeline, EnvAlive, EnvCertificate, plugin.EnvUnixSocketDir, plugin.EnvUnixSocketGroup,
		"PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT", "PLUGIN_MULTIPLEX_GRPC",
	}
}
