package lock

import (
	"context"
	"fmt"
	"iter"

	"github.com/runner-pipelines/runner/core/store"
)

// All yields every lock that is held. One that cannot be read is an error; the
// others follow.
func All(ctx context.Context, s store.Store) iter.Seq2[HeldError, error] {
	return func(yield func(HeldError, error) bool) {
		for it, err := range store.Scan(ctx, s, prefix, "") {
			if err != nil {
				yield(HeldError{}, fmt.Errorf("list environment locks: %w", err))
				return
			}
			e, err := decode(it)
			switch {
			case err != nil:
				if !yield(HeldError{}, err) {
					return
				}
			case e.Holder != nil:
				if !yield(*e.held(), nil) {
					return
				}
			}
		}
	}
}
