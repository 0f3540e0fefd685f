// Package lang is what expressions are made of: the functions (Functions), the
// world that they may look at (World), durations, and the mark of sensitive
// values.
package lang

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
)

type mark string

// sensitive is the mark of values that must not be shown.
const sensitive mark = "sensitive"

// Sensitive marks v as a whole.
func Sensitive(v cty.Value) cty.Value { return v.Mark(sensitive) }

// HasSensitiveMark reports whether v as a whole is sensitive.
func HasSensitiveMark(v cty.Value) bool { return v.HasMark(sensitive) }

// IsSensitive reports whether v or anything inside is sensitive.
func IsSensitive(v cty.Value) bool {
	if !v.ContainsMarked() {
		return false
	}
	_, paths := v.UnmarkDeepWithPaths()
	for _, p := range paths {
		if _, ok := p.Marks[sensitive]; ok {
			return true
		}
	}
	return false
}

// SensitiveTexts are the texts and map keys inside the sensitive parts of a
// value, which no message may hold.
func SensitiveTexts(v cty.Value) []string {
	if !IsSensitive(v) {
		return nil
	}
	var out []string
	// The walk itself has no errors.
	_ = cty.Walk(v, func(_ cty.Path, part cty.Value) (bool, error) {
		if HasSensitiveMark(part) {
			plain, _ := part.UnmarkDeep()
			out = append(out, texts(plain)...)
			return false, nil
		}
		return true, nil
	})
	return out
}

// minNumber is the least length of a number that counts as a text to be hidden.
const minNumber = 4

func texts(v cty.Value) []string {
	var out []string
	_ = cty.Walk(v, func(path cty.Path, part cty.Value) (bool, error) {
		if len(path) > 0 {
			if step, ok := path[len(path)-1].(cty.IndexStep); ok && step.Key.Type() == cty.String && step.Key.IsKnown() {
				out = append(out, step.Key.AsString())
			}
		}
		if !part.IsKnown() || part.IsNull() {
			return true, nil
		}
		switch part.Type() {
		case cty.String:
			if part.AsString() != "" {
				out = append(out, part.AsString())
			}
		case cty.Number:
			// A short number stands in too many messages by chance.
			if text := part.AsBigFloat().Text('f', -1); len(text) >= minNumber {
				out = append(out, text)
			}
		}
		return true, nil
	})
	return out
}

var errDuration = errors.New(`write a duration as numbers with units, such as "90s", "1h30m" or "30d"`)

const day = 24 * time.Hour

// ParseDuration reads what Go does, and days: "1h30m", "30d", "1d12h". It must
// not be negative.
func ParseDuration(s string) (time.Duration, error) {
	text := s
	var total time.Duration
	if number, rest, ok := strings.Cut(text, "d"); ok {
		days, err := strconv.ParseFloat(number, 64)
		if err != nil || strings.ContainsAny(number, "+xXpPeEnN_") {
			return 0, errDuration
		}
		if days < 0 {
			return 0, fmt.Errorf("a duration must not be negative")
		}
		if days > float64(1<<63-1)/float64(day) {
			return 0, fmt.Errorf("a duration of %s days is too long", number)
		}
		total, text = time.Duration(days*float64(day)), rest
		if text == "" {
			return total, nil
		}
		if text[0] < '0' || text[0] > '9' {
			return 0, errDuration
		}
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, errDuration
	case d < 0:
		return 0, fmt.Errorf("a duration must not be negative")
	case total+d < total:
		return 0, fmt.Errorf("the duration is too long")
	}
	return total + d, nil
}
