package main

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// synced is how many writes the disk is asked to make durable.
const synced = 1000

// recordSize is about that of what the journal appends for a link of a chain.
const recordSize = 512

// fsyncs appends small records to a file, each made durable before the next.
func fsyncs(ctx context.Context, dir string) (_ sample, err error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return sample{}, err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	record := make([]byte, recordSize)
	started := time.Now()
	for range synced {
		if err := ctx.Err(); err != nil {
			return sample{}, err
		}
		if _, err := f.Write(record); err != nil {
			return sample{}, err
		}
		if err := f.Sync(); err != nil {
			return sample{}, err
		}
	}
	return sample{wall: time.Since(started)}, nil
}
