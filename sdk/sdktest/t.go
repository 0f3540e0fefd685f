package sdktest

import (
	"context"
	"testing"
)

// T is what a suite needs of a test: a *testing.T through Wrap, or a Report,
// which collects results without the go tool.
type T interface {
	Helper()
	Context() context.Context
	TempDir() string
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	// Run runs one check; its name is a sentence.
	Run(name string, check func(T)) bool
}

// Wrap makes a T of a *testing.T.
func Wrap(t *testing.T) T { return wrapped{t} }

type wrapped struct{ *testing.T }

func (w wrapped) Run(name string, check func(T)) bool {
	return w.T.Run(name, func(t *testing.T) { check(wrapped{t}) })
}
