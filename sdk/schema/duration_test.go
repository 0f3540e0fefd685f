package schema_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/runner-pipelines/runner/sdk/schema"
)

func TestParseDuration(t *testing.T) {
	day := 24 * time.Hour
	for in, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "30d": 30 * day, "1d12h": 36 * time.Hour,
		"-2d3h": -(2*day + 3*time.Hour), "0d": 0, "0": 0, "1.5h": 90 * time.Minute, "007d": 7 * day,
		"106751d": 106751 * day,
	} {
		if got, err := schema.ParseDuration(in); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "d", "-d", "1.5d", "1d-2h", "1d+2h", "1dd", "5", "soon", "1 d", "106752d", "99999999999999999999d", "106751d23h59m"} {
		if got, err := schema.ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %v; want an error", in, got)
		}
	}
}

func TestFormatDurationReadsBack(t *testing.T) {
	for in, want := range map[time.Duration]string{
		0: "0s", time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", time.Hour + 10*time.Second: "1h0m10s",
		time.Minute: "1m", math.MaxInt64: "2562047h47m16.854775807s",
	} {
		if got := schema.FormatDuration(in); got != want {
			t.Errorf("FormatDuration(%d) = %q; want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64().Draw(t, "d"))
		s := schema.FormatDuration(d)
		if got, err := schema.ParseDuration(s); err != nil || got != d {
			t.Fatalf("%d was written %q and read %d, %v", d, s, got, err)
		}
	})
}
