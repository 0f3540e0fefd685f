package since

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	now := time.Date(2026, 11, 23, 6, 30, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"10m":                  now.Add(-10 * time.Minute),
		"1h30m":                now.Add(-90 * time.Minute),
		"3d":                   now.AddDate(0, 0, -3),
		"2w":                   now.AddDate(0, 0, -14),
		"2026-11-22":           time.Date(2026, 11, 22, 0, 0, 0, 0, time.Local),
		"2026-11-22T05:04":     time.Date(2026, 11, 22, 5, 4, 0, 0, time.Local),
		"2026-11-22 05:04:03":  time.Date(2026, 11, 22, 5, 4, 3, 0, time.Local),
		"2026-11-22T05:04:03Z": time.Date(2026, 11, 22, 5, 4, 3, 0, time.UTC),
	} {
		if got, err := Parse(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-10m", "d", "99999999999999999999d", "10", "2026-13-01"} {
		if got, err := Parse(text, now); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}
