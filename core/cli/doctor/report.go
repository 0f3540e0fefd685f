package doctor

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// Severities of findings.
const (
	severe = "error"
	mild   = "warning"
)

// Finding is one thing that is not as it should be.
type Finding struct {
	// Severity is error or warning.
	Severity string `json:"severity"`
	// Run is empty for what belongs to none.
	Run string `json:"run,omitempty"`
	// Record is what is wrong: a key of the state, or a file.
	Record string `json:"record"`
	// Problem ends a sentence that begins with Record.
	Problem string `json:"problem"`
	// Saved is what is still whole, or what the damage means.
	Saved string `json:"saved,omitempty"`
	// Commands are the way out.
	Commands []string `json:"commands,omitempty"`
	// Repaired says what was done about it.
	Repaired string `json:"repaired,omitempty"`

	cure func(context.Context) (done string, err error)
}

// Report is what -json gives.
type Report struct {
	OK       bool           `json:"ok"`
	Looked   map[string]int `json:"looked_at"`
	Findings []Finding      `json:"findings"`
}

func (x *exam) report() Report {
	r := Report{OK: true, Looked: x.looked, Findings: x.findings}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Severity == severe && f.Repaired == "" {
			r.OK = false
		}
		if f.Repaired != "" || x.opts.Repair {
			f.Commands = without(f.Commands, "runner doctor -repair")
		}
	}
	return r
}

func without(commands []string, prefix string) []string {
	var out []string
	for _, c := range commands {
		if !strings.HasPrefix(c, prefix) {
			out = append(out, c)
		}
	}
	return out
}

// counted are the things that were looked at, in the order in which they are told.
var counted = []string{"runs", "segments", "facts", "snapshots", "log chunks", "messages", "locks", "plugins", "artifacts"}

func (r Report) write(out io.Writer) {
	var looked []string
	for _, what := range counted {
		if n := r.Looked[what]; n > 0 {
			if n == 1 {
				what = strings.TrimSuffix(what, "s")
			}
			looked = append(looked, fmt.Sprintf("%d %s", n, what))
		}
	}
	if len(looked) > 0 {
		fmt.Fprintf(out, "Looked at %s.\n", strings.Join(looked, ", "))
	}
	for _, f := range r.Findings {
		title := "Error"
		if f.Severity == mild {
			title = "Warning"
		}
		if f.Repaired != "" {
			title = "Repaired"
		}
		fmt.Fprintf(out, "\n%s: %s %s\n", title, f.Record, f.Problem)
		for _, text := range []string{f.Saved, f.Repaired} {
			if text != "" {
				fmt.Fprintf(out, "\n%s.\n", strings.ToUpper(text[:1])+text[1:])
			}
		}
		for i, c := range f.Commands {
			if i == 0 {
				fmt.Fprintln(out)
			}
			fmt.Fprintf(out, "  %s\n", c)
		}
	}
	switch {
	case len(r.Findings) == 0:
		fmt.Fprintln(out, "Nothing is wrong.")
	case !r.OK:
	default:
		fmt.Fprintln(out, "\nNothing else is wrong.")
	}
}
