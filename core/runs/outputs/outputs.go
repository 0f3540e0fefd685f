// Package outputs keeps what a run gave at its end, so that it can be asked for
// later without the variables and plugins of the run. Sensitive values are sealed.
package outputs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/runner-pipelines/runner/core/seal"
	"github.com/runner-pipelines/runner/core/store"
)

// ErrNone means that the run kept no outputs: it has not ended well, or an earlier
// version of runner carried it out.
var ErrNone = errors.New("the run has kept no outputs")

// Output is one value that a run gave.
type Output struct {
	Name string
	// Value is wholly known and has no marks. Read leaves it out of sensitive
	// outputs: see Reveal.
	Value     cty.Value
	Sensitive bool

	run    string
	typ    cty.Type
	sealed []byte
}

// Reveal is the value, opened with the state key where it is sealed. With another
// key than the run's the error is seal.ErrWrongKey.
func (o Output) Reveal(key *seal.Key) (cty.Value, error) {
	if o.sealed == nil {
		return o.Value, nil
	}
	plain, err := key.Open(o.sealed, placeOf(o.run, o.Name))
	if err != nil {
		return cty.NilVal, fmt.Errorf("output %q: %w", o.Name, err)
	}
	return o.decode(plain)
}

// Type is that of the value, also where the value is sealed.
func (o Output) Type() cty.Type { return o.typ }

func (o Output) decode(plain []byte) (cty.Value, error) {
	v, err := ctyjson.Unmarshal(plain, o.typ)
	if err != nil {
		return cty.NilVal, fmt.Errorf("output %q of run %s is damaged: %w", o.Name, o.run, err)
	}
	return v, nil
}

// kept is an output as it is stored.
type kept struct {
	Name      string          `json:"name"`
	Type      json.RawMessage `json:"type"`
	Value     json.RawMessage `json:"value,omitempty"`
	Sensitive bool            `json:"sensitive,omitempty"`
	// Sealed is the value of a sensitive one.
	Sealed []byte `json:"sealed,omitempty"`
}

func keyOf(run string) string { return "runs/" + run + "/outputs" }

func placeOf(run, name string) seal.Place { return seal.Place{Run: run, Node: "output", Name: name} }

// Keep stores the outputs of a run, in the order of their names. What was kept
// before is left: a run has ended once.
func Keep(ctx context.Context, s store.Store, key *seal.Key, run string, all []Output) error {
	list := make([]kept, 0, len(all))
	for _, o := range all {
		k := kept{Name: o.Name, Sensitive: o.Sensitive}
		var err error
		if k.Type, err = ctyjson.MarshalType(o.Value.Type()); err != nil {
			return fmt.Errorf("output %q: %w", o.Name, err)
		}
		value, err := ctyjson.Marshal(o.Value, o.Value.Type())
		if err != nil {
			return fmt.Errorf("output %q: %w", o.Name, err)
		}
		if o.Sensitive {
			k.Sealed = key.Seal(value, placeOf(run, o.Name))
		} else {
			k.Value = value
		}
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b kept) int { return strings.Compare(a.Name, b.Name) })
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if _, err := s.PutAbsent(ctx, keyOf(run), b); err != nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("keep the outputs of run %s: %w", run, err)
	}
	return nil
}

// Read gives the outputs of a run by name. Without any kept it is ErrNone.
func Read(ctx context.Context, s store.Store, run string) ([]Output, error) {
	it, err := s.Get(ctx, keyOf(run))
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("outputs of run %s: %w", run, err)
	}
	var list []kept
	if err := json.Unmarshal(it.Value, &list); err != nil {
		return nil, fmt.Errorf("outputs of run %s are damaged: %w", run, err)
	}
	out := make([]Output, 0, len(list))
	for _, k := range list {
		o := Output{Name: k.Name, Sensitive: k.Sensitive, run: run, sealed: k.Sealed}
		if o.typ, err = ctyjson.UnmarshalType(k.Type); err != nil {
			return nil, fmt.Errorf("output %q of run %s is damaged: %w", k.Name, run, err)
		}
		if !k.Sensitive {
			if o.Value, err = o.decode(k.Value); err != nil {
				return nil, err
			}
		}
		out = append(out, o)
	}
	return out, nil
}
