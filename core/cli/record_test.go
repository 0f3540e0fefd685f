package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/sqlite"
)

// record damages the last record of the state whose key matches:
//
//	record flip REGEXP       one bit in the middle
//	record cut REGEXP        its second half
//	record drop REGEXP       all of it
//	record swap REGEXP KEY   it and the one that matches the second expression
//	record forge REGEXP      a snapshot that says that one more slot is taken, with the right hash
func record(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: record HOW REGEXP")
	}
	ctx := context.Background()
	s, err := sqlite.Open(ctx, filepath.Join(ts.MkAbs(".runner"), "state.db"))
	ts.Check(err)
	defer s.Close()
	it, err := find(ctx, s, args[1])
	ts.Check(err)
	replace := func(key string, value []byte) {
		old, err := s.Get(ctx, key)
		ts.Check(err)
		_, err = s.PutVersion(ctx, key, value, old.Version)
		ts.Check(err)
	}
	switch args[0] {
	case "flip":
		b := slices.Clone(it.Value)
		b[len(b)/2] ^= 1
		replace(it.Key, b)
	case "cut":
		replace(it.Key, it.Value[:len(it.Value)/2])
	case "drop":
		ts.Check(s.Delete(ctx, it.Key, it.Version))
	case "swap":
		other, err := find(ctx, s, args[2])
		ts.Check(err)
		replace(it.Key, other.Value)
		replace(other.Key, it.Value)
	case "forge":
		body := slices.Concat(frame.New(len(it.Value)), bytes.Replace(it.Value[frame.HashLen+1:], []byte(`"Slots":`), []byte(`"Slots":1`), 1))
		frame.Close(body)
		replace(it.Key, body)
	default:
		ts.Fatalf("a record cannot be damaged by %q", args[0])
	}
}

func find(ctx context.Context, s store.Store, expression string) (store.Item, error) {
	re, err := regexp.Compile(expression)
	if err != nil {
		return store.Item{}, err
	}
	var found *store.Item
	for it, err := range store.Scan(ctx, s, "", "") {
		if err != nil {
			return store.Item{}, err
		}
		if re.MatchString(it.Key) {
			found = &it
		}
	}
	if found == nil {
		return store.Item{}, fmt.Errorf("no record matches %s: %w", expression, os.ErrNotExist)
	}
	return *found, nil
}
