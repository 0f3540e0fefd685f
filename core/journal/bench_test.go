package journal_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/store/sqlite"
)

// BenchmarkAppend measures durable batches of two records of 200 bytes by a
// number of runs at the same time.
func BenchmarkAppend(b *testing.B) {
	rec := json.RawMessage(`{"fact":"` + strings.Repeat("x", 190) + `"}`)
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "state.db"))
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			journals := make([]*journal.Journal, writers)
			for i := range journals {
				if journals[i], err = journal.Create(b.Context(), s, fmt.Sprint("r", i), at, []json.RawMessage{rec}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i, j := range journals {
				wg.Go(func() {
					for n := i; n < b.N; n += writers {
						if err := j.Append(b.Context(), at, []json.RawMessage{rec, rec}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkRead measures reading and verifying a journal of 1,000 segments.
func BenchmarkRead(b *testing.B) {
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "state.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	write(b, s, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := read(b, s, journal.Head{}); err != nil {
			b.Fatal(err)
		}
	}
}
