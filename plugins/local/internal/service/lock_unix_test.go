//go:build unix

package service

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"
)

func TestLockIsExclusive(t *testing.T) {
	d := At(t.TempDir(), "shop")
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	first, err := d.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := d.Lock(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second lock: %v", err)
	}
	got := make(chan error)
	go func() {
		second, err := d.Lock(t.Context())
		if err == nil {
			second.Close()
		}
		got <- err
	}()
	first.Close()
	if err := <-got; err != nil {
		t.Errorf("the lock after it was freed: %v", err)
	}
}

// TestLockOfARemovedFolder: who waited for the lock of a folder that was removed
// must not believe to hold it.
func TestLockOfARemovedFolder(t *testing.T) {
	d := At(t.TempDir(), "shop")
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	first, err := d.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() {
		f, err := d.Lock(t.Context())
		if err == nil {
			defer f.Close()
			if !d.holds(f, filepath.Join(string(d), lockFile)) {
				err = errors.New("the lock is on a file that is gone")
			}
		}
		waiting <- err
	}()
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	first.Close()
	// It may have looked in the moment without a folder.
	if err := <-waiting; err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the one that waited: %v", err)
	}
	if f, err := d.Lock(t.Context()); err != nil {
		t.Errorf("the lock of the new folder: %v", err)
	} else {
		f.Close()
	}
}
