// Package since reads the moments that people type: so long ago, or a time.
package since

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Flag is a moment as the value of a flag. The zero value is no moment.
type Flag struct {
	time.Time
	text string
}

// String implements flag.Value.
func (f *Flag) String() string { return f.text }

// Set implements flag.Value.
func (f *Flag) Set(text string) error {
	t, err := Parse(text, time.Now())
	if err != nil {
		return err
	}
	f.Time, f.text = t, text
	return nil
}

var errForm = errors.New("give a span such as 10m, 2h or 3d, or a time such as 2026-11-23T06:30:00Z, 2026-11-23T06:30 or 2026-11-23")

// Parse reads a span before now, such as 90s, 10m, 2h, 3d or 1w, or a moment: RFC 3339,
// or a local date with or without a time of day.
func Parse(text string, now time.Time) (time.Time, error) {
	if n, unit := strings.TrimRight(text, "dw"), strings.TrimLeft(text, "0123456789"); unit == "d" || unit == "w" {
		days, err := strconv.Atoi(n)
		if err != nil || days > 100_000 {
			return time.Time{}, errForm
		}
		if unit == "w" {
			days *= 7
		}
		return now.AddDate(0, 0, -days), nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		if d < 0 {
			return time.Time{}, errForm
		}
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	for _, form := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errForm
}
