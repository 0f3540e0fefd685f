package wire

import "fmt"

// enum pairs a public constant with a generated one.
type enum[P comparable, W ~int32] struct {
	what string
	// other is written for a public constant that is not in the table, and read for
	// a generated one that is not.
	other W
	out   map[P]W
	in    map[W]P
}

func newEnum[P comparable, W ~int32](what string, other W, pairs map[P]W) enum[P, W] {
	e := enum[P, W]{what: what, other: other, out: pairs, in: make(map[W]P, len(pairs))}
	for p, w := range pairs {
		e.in[w] = p
	}
	return e
}

func (e enum[P, W]) toPB(p P) W {
	if w, ok := e.out[p]; ok {
		return w
	}
	return e.other
}

func (e enum[P, W]) fromPB(w W) P {
	if p, ok := e.in[w]; ok {
		return p
	}
	return e.in[e.other]
}

// strict is fromPB for enumerations where guessing would be wrong.
func (e enum[P, W]) strict(w W) (P, error) {
	p, ok := e.in[w]
	if !ok {
		return p, fmt.Errorf("unknown %s %d", e.what, int32(w))
	}
	return p, nil
}
