package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/memstore"
	"github.com/runner-pipelines/runner/core/store/storetest"
)

// envLie names what the store under test does wrong; unset it does nothing wrong.
const envLie = "STORETEST_LIE"

// liar is a good store but for one thing.
type liar struct {
	*memstore.Store
	lie string
}

func (l liar) Get(ctx context.Context, key string) (store.Item, error) {
	it, err := l.Store.Get(ctx, key)
	switch {
	case l.lie == "a missing key is empty" && errors.Is(err, store.ErrNotFound):
		return store.Item{Key: key}, nil
	case l.lie == "values lose their ends":
		it.Value = []byte(strings.TrimRight(string(it.Value), "\x00"))
	case l.lie == "contexts are ignored":
		return l.Store.Get(context.WithoutCancel(ctx), key)
	}
	return it, err
}

func (l liar) PutAbsent(ctx context.Context, key string, value []byte) (string, error) {
	if l.lie == "the last one wins" {
		if it, err := l.Store.Get(ctx, key); err == nil {
			return l.Store.PutVersion(ctx, key, value, it.Version)
		}
	}
	v, err := l.Store.PutAbsent(ctx, key, value)
	if l.lie == "no versions" {
		v = ""
	}
	return v, err
}

func (l liar) PutVersion(ctx context.Context, key string, value []byte, version string) (string, error) {
	if l.lie == "versions are ignored" {
		if it, err := l.Store.Get(ctx, key); err == nil {
			version = it.Version
		}
	}
	if l.lie == "a version makes the key" {
		if v, err := l.Store.PutAbsent(ctx, key, value); err == nil {
			return v, nil
		}
	}
	return l.Store.PutVersion(ctx, key, value, version)
}

func (l liar) List(ctx context.Context, prefix, startAfter string, limit int) ([]store.Item, error) {
	switch l.lie {
	case "the start is listed too":
		if it, err := l.Store.Get(ctx, startAfter); err == nil && strings.HasPrefix(startAfter, prefix) {
			items, err := l.Store.List(ctx, prefix, startAfter, limit)
			return append([]store.Item{it}, items...), err
		}
	case "prefixes are folders":
		if !strings.HasSuffix(prefix, "/") {
			prefix += "/"
		}
	case "limits are ignored":
		limit = 1 << 30
	}
	return l.Store.List(ctx, prefix, startAfter, limit)
}

func (l liar) Delete(ctx context.Context, key, version string) error {
	it, err := l.Store.Get(ctx, key)
	switch {
	case l.lie == "a missing key cannot be deleted" && err != nil:
		return store.ErrConflict
	case l.lie == "anything is deleted" && err == nil:
		version = it.Version
	}
	return l.Store.Delete(ctx, key, version)
}

func (l liar) Lineage(ctx context.Context) (string, error) {
	if l.lie == "all stores are one" {
		return "the one", nil
	}
	return l.Store.Lineage(ctx)
}

func (l liar) Close() error {
	if l.lie == "closing does nothing" {
		return nil
	}
	return l.Store.Close()
}

func TestConformance(t *testing.T) {
	var mu sync.Mutex
	places := map[string]*memstore.Store{}
	storetest.Run(t, storetest.Suite{
		Place: func(t testing.TB) string { return t.TempDir() },
		Open: func(place string) (store.Store, error) {
			mu.Lock()
			defer mu.Unlock()
			if places[place] == nil {
				places[place] = memstore.New()
			}
			return liar{places[place], os.Getenv(envLie)}, nil
		},
	})
}

// The suite runs again, as another process, with a store that lies.
func TestTheSuiteFindsLiars(t *testing.T) {
	if os.Getenv(envLie) != "" {
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for lie, want := range map[string]string{
		"a missing key is empty":          "AMissingKeyIsNotFound",
		"values lose their ends":          "ValuesComeBackAsTheyWere",
		"contexts are ignored":            "AnEndedContextWritesNothing",
		"the last one wins":               "PutAbsentWritesOnlyOnce",
		"no versions":                     "PutAbsentWritesOnlyOnce",
		"versions are ignored":            "PutVersionNeedsTheVersion",
		"a version makes the key":         "PutVersionNeedsTheVersion",
		"the start is listed too":         "ListIsInTheOrderOfBytes",
		"prefixes are folders":            "ListIsInTheOrderOfBytes",
		"limits are ignored":              "ListPagesMeetWithoutGaps",
		"a missing key cannot be deleted": "DeleteNeedsTheVersion",
		"anything is deleted":             "DeleteNeedsTheVersion",
		"all stores are one":              "TheLineageStays",
		"closing does nothing":            "AClosedStoreGivesErrors",
	} {
		t.Run(lie, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), exe, "-test.run", "^TestConformance$/^"+want+"$")
			cmd.Env = append(os.Environ(), envLie+"="+lie, "GORACE=atexit_sleep_ms=0")
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), fmt.Sprintf("--- FAIL: TestConformance/%s", want)) {
				t.Errorf("the suite does not notice (%v):\n%s", err, out)
			}
		})
	}
}
