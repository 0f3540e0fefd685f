package schema

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// ParseDuration reads what time.ParseDuration reads, and days: "30d", "1d12h".
// A day is 24 hours.
func ParseDuration(s string) (time.Duration, error) {
	days, rest, found := strings.Cut(s, "d")
	if !found {
		return parseGo(s, s)
	}
	sign, digits := time.Duration(1), days
	if strings.HasPrefix(days, "-") {
		sign, digits = -1, days[1:]
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, invalidDuration(s)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > int64(math.MaxInt64/day) {
		return 0, fmt.Errorf("the duration %q is too long", s)
	}
	total := time.Duration(n) * day
	if rest != "" {
		if rest[0] == '-' || rest[0] == '+' {
			return 0, invalidDuration(s)
		}
		more, err := parseGo(rest, s)
		if err != nil {
			return 0, err
		}
		if total > math.MaxInt64-more {
			return 0, fmt.Errorf("the duration %q is too long", s)
		}
		total += more
	}
	return sign * total, nil
}

func parseGo(part, whole string) (time.Duration, error) {
	d, err := time.ParseDuration(part)
	if err != nil {
		return 0, invalidDuration(whole)
	}
	return d, nil
}

var errDurationForm = errors.New(`write a number and a unit, such as "90s", "1h30m" or "7d"`)

func invalidDuration(s string) error {
	return fmt.Errorf("%q is not a duration: %w", s, errDurationForm)
}

// FormatDuration writes the shortest form that ParseDuration and
// time.ParseDuration read back: "1h30m" and not "1h30m0s".
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
