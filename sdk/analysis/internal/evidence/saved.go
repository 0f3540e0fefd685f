package evidence

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// floats travel as base64 of their bits: exact, and half as long as digits.
type floats []float64

// MarshalText is for encoding/json.
func (f floats) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, 8*len(f))
	for _, v := range f {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
	}
	return base64.RawStdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText is for encoding/json.
func (f *floats) UnmarshalText(text []byte) error {
	raw, err := base64.RawStdEncoding.AppendDecode(nil, text)
	if err != nil || len(raw)%8 != 0 {
		return errors.New("numbers that cannot be read")
	}
	*f = make(floats, 0, len(raw)/8)
	for ; len(raw) > 0; raw = raw[8:] {
		*f = append(*f, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
	}
	return nil
}

// Save returns what Load needs to go on.
func (t *Test) Save() ([]byte, error) { return json.Marshal(&t.s) }

// Load goes on with a saved comparison of the same Config.
func Load(c Config, b []byte) (*Test, error) {
	t := New(c)
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("comparison: %w", err)
	}
	if !t.fits(&s) {
		return nil, errors.New("comparison: it is damaged")
	}
	t.s = s
	return t, nil
}

func (t *Test) fits(s *state) bool {
	ok := s.Restarts >= 0 && same(s.Fresh, t.s.Fresh, math.Inf(-1))
	for _, w := range []*tally{&s.Whole, &s.Step} {
		ok = ok && same(w.Rungs, t.s.Whole.Rungs, math.Inf(-1)) && same(w.Harm, t.s.Whole.Harm, 0) && same(w.Show, t.s.Whole.Show, 0)
		for _, v := range []float64{
			w.Xc, w.Xs, w.Nc, w.Ns, w.Owed, w.Blocks.N, w.Blocks.A, w.Blocks.B, w.Blocks.AA, w.Blocks.AB, w.Blocks.BB,
			w.Now.Events, w.Now.Harm, w.Now.Show, w.Now.HarmMost, w.Now.ShowMost, w.Now.A, w.Now.B,
		} {
			ok = ok && v >= 0
		}
		ok = ok && math.Abs(w.Abs) <= 690
	}
	return ok
}

// same reports whether a has as many numbers as b, none of them below least.
func same(a, b floats, least float64) bool {
	for _, v := range a {
		if !(v >= least) || math.IsInf(v, 0) {
			return false
		}
	}
	return len(a) == len(b)
}
