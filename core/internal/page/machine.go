package page

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine describes what it was measured on, without naming it.
func Machine() string {
	what := fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	if m := after("/proc/cpuinfo", "model name"); m != "" {
		what = m + ", " + what
	}
	if m := after("/proc/meminfo", "MemTotal"); m != "" {
		var kib int64
		if _, err := fmt.Sscanf(m, "%d kB", &kib); err == nil {
			what += fmt.Sprintf(", %.1f GiB of memory", float64(kib)/(1<<20))
		}
	}
	return what
}

// after gives what follows a label in a file of the system; empty where there is none.
func after(file, label string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == label {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Load is how many processes wanted to run in the last minute; empty where the
// system does not tell.
func Load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}
