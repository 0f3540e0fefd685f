package store

import (
	"context"
	"iter"
)

// pageSize is how many items Scan asks for at a time.
const pageSize = 64

// Scan yields every item whose key has the prefix and comes after startAfter, in
// the order of their bytes, reading a page at a time. It ends after the first error.
func Scan(ctx context.Context, s Store, prefix, startAfter string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for {
			items, err := s.List(ctx, prefix, startAfter, pageSize)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, it := range items {
				if !yield(it, nil) {
					return
				}
			}
			if len(items) < pageSize {
				return
			}
			startAfter = items[len(items)-1].Key
		}
	}
}
