//go:build unix

package crash

import (
	"context"
	"path"
	"strings"

	"github.com/runner-pipelines/runner/core/store"
)

// stopping is a store whose writes are boundaries.
type stopping struct {
	store.Store
	points *points
}

func (p *points) store(s store.Store) store.Store { return &stopping{s, p} }

// around passes the boundaries before and after a write.
func around[T any](s *stopping, what, key string, write func() (T, error)) (T, error) {
	what += " " + place(key)
	s.points.pass("before "+what, nil)
	out, err := write()
	s.points.pass("after "+what, nil)
	return out, err
}

// place is where a key lies, without what differs between any two runs.
func place(key string) string {
	parts := strings.Split(path.Dir(key), "/")
	if len(parts) > 1 && parts[0] == "runs" {
		parts[1] = "RUN"
	}
	return strings.Join(parts, "/")
}

func (s *stopping) PutAbsent(ctx context.Context, key string, value []byte) (string, error) {
	return around(s, "put", key, func() (string, error) { return s.Store.PutAbsent(ctx, key, value) })
}

func (s *stopping) PutVersion(ctx context.Context, key string, value []byte, version string) (string, error) {
	return around(s, "replace", key, func() (string, error) { return s.Store.PutVersion(ctx, key, value, version) })
}

func (s *stopping) Delete(ctx context.Context, key, version string) error {
	_, err := around(s, "delete", key, func() (struct{}, error) { return struct{}{}, s.Store.Delete(ctx, key, version) })
	return err
}
