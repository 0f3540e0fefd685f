package lang

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/zclconf/go-cty/cty"
)

// What a value may hold. Values are copied, compared and written down many
// times, so that the limits leave room for everything meant seriously.
const (
	// maxText is the text in one value, or that one evaluation puts together, in bytes.
	maxText = 16 << 20
	// maxElements is how many elements a value may have, on all its levels.
	maxElements = 100_000
	// maxDepth is how deep lists and objects may be nested.
	maxDepth = 500
	// maxDigits is how many digits a number may have before or after the point.
	maxDigits = 5000
	// maxBits is the same for binary digits.
	maxBits = maxDigits * 10 / 3
)

var (
	errText     = fmt.Errorf("a text would be larger than %d MiB", maxText>>20)
	errElements = fmt.Errorf("a list, map or object would have more than %d elements", maxElements)
	errDepth    = fmt.Errorf("lists and objects would be nested deeper than %d levels", maxDepth)
	errNumber   = fmt.Errorf("a number would have more than %d digits", maxDigits)
	errInfinite = errors.New("a number would be infinite: it is too large, or was divided by zero")
)

// TooLarge says which limit a value breaks; nil when it is of a size that can
// be worked with.
func TooLarge(v cty.Value) error {
	m := measure{text: maxText, elements: maxElements}
	return m.add(v, maxDepth)
}

// measure is what a value may still hold.
type measure struct{ text, elements int }

func (m *measure) add(v cty.Value, depth int) error {
	if v.IsMarked() {
		v, _ = v.Unmark()
	}
	ty := v.Type()
	if !v.IsKnown() || v.IsNull() {
		return nil
	}
	switch {
	case ty == cty.String:
		if m.text -= len(v.AsString()); m.text < 0 {
			return errText
		}
		return nil
	case ty == cty.Number:
		return checkNumber(v)
	case !v.CanIterateElements():
		return nil
	case depth == 0:
		return errDepth
	}
	if m.elements -= v.LengthInt(); m.elements < 0 {
		return errElements
	}
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		if k.Type() == cty.String {
			if m.text -= len(k.AsString()); m.text < 0 {
				return errText
			}
		}
		if err := m.add(e, depth-1); err != nil {
			return err
		}
	}
	return nil
}

// checkNumber refuses a number that would take more than maxDigits digits on one
// side of the point to write down.
func checkNumber(v cty.Value) error {
	n := v.AsBigFloat()
	exponent := n.MantExp(nil)
	switch {
	case n.IsInf():
		return errInfinite
	case exponent > maxBits || exponent < -maxBits:
		return errNumber
	}
	return nil
}

// fits checks arithmetic about the size of a result before it is made.
func fits(factors ...int) error {
	product := big.NewInt(1)
	for _, f := range factors {
		product.Mul(product, big.NewInt(int64(f)))
	}
	if product.Cmp(big.NewInt(maxText)) > 0 {
		return errText
	}
	return nil
}
