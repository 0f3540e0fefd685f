package explain

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/paint"
	"github.com/runner-pipelines/runner/core/cli/series"
	"github.com/runner-pipelines/runner/core/kernel"
)

// Judged is a verdict on a stage: which metric decided, what was seen of it, and
// what would have changed the verdict.
type Judged struct {
	Node string `json:"node"`
	series.Decision
	// Asks is what is asked of the metric; empty where it is not compared, or not known.
	Asks string `json:"asks,omitempty"`
}

// verdicts is how many of the verdicts on a stage are told when it is asked for; the last
// ones are.
const verdicts = 5

// judged are the verdicts on the stages that are told.
func judged(in Input, told []string) []Judged {
	of := map[string]bool{}
	for _, node := range told {
		of[node] = true
	}
	of[in.Stage] = in.Stage != ""
	set := series.New()
	for _, e := range in.Events {
		if f, ok := e.Fact.(kernel.Judged); !ok || of[f.Node] {
			set.Event(e)
		}
	}
	var out []Judged
	for _, st := range set.Stages() {
		var all []Judged
		for i, d := range st.Decisions {
			if last := i == len(st.Decisions)-1; !last && (d.Word == series.Unsure || in.Stage == "") {
				continue
			}
			j := Judged{Node: st.Node, Decision: d}
			if m := st.Metric(d.Metric); m != nil {
				j.Asks = m.Asks()
			}
			all = append(all, j)
		}
		out = append(out, all[max(0, len(all)-verdicts):]...)
	}
	return out
}

// writeJudged writes the verdicts for people. What the chain tells already is not told twice.
func writeJudged(out io.Writer, x *Explanation, style paint.Style, zone *time.Location) {
	if len(x.Judged) == 0 {
		return
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	say("\n%s", style.Bold.Render("What the judge saw"))
	for _, j := range x.Judged {
		text := string(j.Word)
		switch {
		case j.Metric == "":
		case j.Word == series.Unsure:
			text += ", for want of " + j.Metric
		default:
			text += ", decided by " + j.Metric
		}
		say("  %s: %s %s", j.Node, style.Dim.Render(j.At.In(zone).Format("15:04:05")), text)
		for _, line := range j.lines(x.Chain) {
			say("    %s", line)
		}
	}
}

func (j *Judged) lines(chain []Link) []string {
	var out []string
	if j.Seen != nil {
		out = append(out, fmt.Sprintf("%s, in %d observations of the candidate", j.Seen.Words(), j.N))
		out = append(out, fmt.Sprintf("evidence of harm %s of %s, of being as good %s of %s",
			evidence(j.Seen.Harm), series.Number(j.Seen.HarmNeeded), evidence(j.Seen.Show), series.Number(j.Seen.ShowNeeded)))
	}
	if j.Asks != "" {
		out = append(out, j.Asks)
	}
	for _, l := range chain {
		if l.Node == j.Node && strings.Contains(l.Text, j.Why) {
			return out
		}
	}
	return append(out, j.Why)
}

func evidence(v float64) string {
	if v < 0.001 {
		return "less than 0.001"
	}
	return series.Number(v)
}
