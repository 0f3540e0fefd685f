package series

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Words say how much worse the candidate is than stable, and how sure that is.
func (s *Seen) Words() string {
	span := ""
	switch {
	case s.High > 0:
		span = fmt.Sprintf("the true ratio is between %s and %s", Number(s.Low), Number(s.High))
	case s.Low > 0:
		span = fmt.Sprintf("the true ratio is at least %s", Number(s.Low))
	}
	switch {
	case s.Effect > 0 && span != "":
		return fmt.Sprintf("%s times as often as in stable (%s)", Number(s.Effect), span)
	case s.Effect > 0:
		return Number(s.Effect) + " times as often as in stable"
	case span != "":
		return span
	}
	return "too little was seen for a ratio"
}

// Asks says what is harm and what must be ruled out before a step passes; empty
// where nothing is compared, or that is not known.
func (m *Metric) Asks() string {
	how := m.Rule.Compare
	if how == nil {
		return ""
	}
	text := fmt.Sprintf("harm is more than %s times as often as in stable", Number(1+how.Tolerance))
	var out []string
	if how.Margin > 0 {
		out = append(out, Number(how.Margin)+" times as often")
	}
	// Without a past that tells how errors come, a difference proves nothing.
	if how.MarginAbs > 0 && !how.Rate && (how.Past != nil && how.Past.Dispersion >= 1 || len(out) == 0) {
		out = append(out, Number(100*how.MarginAbs)+" percentage points more")
	}
	if len(out) == 0 {
		return text
	}
	return text + "; to pass, " + strings.Join(out, " or ") + " must be ruled out"
}

// Number writes three digits that say something, and whole numbers in full.
func Number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return strings.Replace(strconv.FormatFloat(v, 'g', 3, 64), "e+0", "e", 1)
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a < 1e-9:
		return "0"
	}
	text := strconv.FormatFloat(v, 'f', max(0, 2-int(math.Floor(math.Log10(math.Abs(v))))), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
