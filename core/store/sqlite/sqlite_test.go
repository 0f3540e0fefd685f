package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/sqlite"
	"github.com/runner-pipelines/runner/core/store/storetest"
)

func open(place string) (store.Store, error) { return sqlite.Open(context.Background(), place) }

func TestMain(m *testing.M) { storetest.Main(m, open) }

func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Suite{
		Place:     func(t testing.TB) string { return filepath.Join(t.TempDir(), ".runner", "state.db") },
		Open:      open,
		Processes: true,
		Durable:   true,
	})
}
