package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/sqlite"
	"github.com/runner-pipelines/runner/core/store/storetest"
)

func open(place string) (store.Store, error) { return sqlite.Open(context.Background(), place) }

func TestMain(m *testing.M) { storetest.Main(m, open) }

func TestConformance(t *testing.T) {
	storetest.Run(t, suite)
}

var suite = storetest.Suite{
	Place:     func(t testing.TB) string { return filepath.Join(t.TempDir(), ".runner", "state.db") },
	Open:      open,
	Processes: true,
	Durable:   true,
}

func TestRealCrowdOnOneStore(t *testing.T) {
	if os.Getenv("RUNNER_TEST_REAL") == "" {
		t.Skip("RUNNER_TEST_REAL is not set: make test-real runs this")
	}
	storetest.Crowd(t, suite, 30*time.Second)
}
