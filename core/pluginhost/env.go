package pluginhost

import (
	"os"
	"runtime"
	"slices"
)

// systemEnv are variables without which a program cannot make a socket or a temporary
// file; they name folders, and every program may see them.
var systemEnv = map[string][]string{
	"windows": {"SystemRoot", "SystemDrive", "TEMP", "TMP"},
}

// baseEnv is the environment that every plugin gets.
func baseEnv() []string { return environment(os.LookupEnv, nil) }

// environment is what a plugin gets to see: variables that are granted by name, where
// the host has them.
func environment(lookup func(string) (string, bool), granted []string) []string {
	names, ok := systemEnv[runtime.GOOS]
	if !ok {
		names = []string{"TMPDIR"}
	}
	names = slices.Concat(names, granted)
	slices.Sort(names)
	env := []string{}
	for _, name := range slices.Compact(names) {
		if value, ok := lookup(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
