//go:build race

package cli

// raceEnabled: the race detector takes several times the memory.
const raceEnabled = true
