package analyze

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// look is what the judge says at one moment.
type look struct {
	T    float64          `json:"t_seconds"`
	Harm analysis.Verdict `json:"harm"`
	Step analysis.Verdict `json:"step"`
	// Evidence is by metric, of those that are compared.
	Evidence []evidence `json:"evidence,omitempty"`
	// LeftOut counts rows of this moment that make no sense.
	LeftOut int `json:"left_out,omitempty"`
	// after is the time since the first window began.
	after time.Duration
}

// evidence is how far a metric is from a decision: fields of analysis.Evidence.
type evidence struct {
	Metric     string  `json:"metric"`
	Harm       float64 `json:"harm"`
	HarmNeeded float64 `json:"harm_needed"`
	Show       float64 `json:"show"`
	ShowNeeded float64 `json:"show_needed"`
}

func evidenceOf(judge *analysis.State) (out []evidence) {
	for _, e := range judge.Evidence() {
		out = append(out, evidence{e.Metric, e.Harm, e.HarmNeeded, e.Show, e.ShowNeeded})
	}
	return out
}

// summary is what it all comes to.
type summary struct {
	// Decision is pass, fail (harm) or inconclusive, and At when it was made, on the
	// clock of the data.
	Decision strategy.VerdictValue `json:"decision"`
	At       float64               `json:"at"`
	Why      string                `json:"why"`
	Looks    int                   `json:"looks"`
	Rows     int                   `json:"rows"`
	LeftOut  int                   `json:"left_out"`
	// Judge is the version of the judge.
	Judge string `json:"judge"`
	after time.Duration
}

// view shows a replay.
type view interface {
	look(look) error
	end(summary) error
}

func newView(out io.Writer, asJSON bool) view {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		return &machine{enc}
	}
	return &human{out}
}

type machine struct{ out *json.Encoder }

func (m *machine) look(l look) error   { return m.out.Encode(l) }
func (m *machine) end(s summary) error { return m.out.Encode(s) }

type human struct{ out io.Writer }

// words for verdicts, of the same width.
const (
	wordHarm   = "harm"
	wordPass   = "pass"
	wordNot    = "not enough evidence"
	wordNoData = "no data"
)

func (h *human) look(l look) error {
	word, why := wordNot, l.Step.Why
	switch {
	case l.Harm.Value == strategy.Fail:
		word, why = wordHarm, l.Harm.Why
	case l.Step.Value == strategy.Fail: // beyond a limit in this step only
		word = wordHarm
	case l.Step.Value == strategy.Pass:
		word = wordPass
	case l.Step.NoData:
		word = wordNoData
	}
	_, err := fmt.Fprintf(h.out, "%8s  %-*s  %s\n", clock(l.after), len(wordNot), word, why)
	return err
}

func (h *human) end(s summary) error {
	after := clock(s.after)
	var text string
	switch s.Decision {
	case strategy.Fail:
		text = "Harm after " + after + ": the rollout would be aborted."
	case strategy.Pass:
		text = "Passed after " + after + ": the rollout would go on."
	default:
		text = "Not enough evidence after " + after + ": the rollout would wait for more."
	}
	text = "\n" + text + "\n"
	switch {
	case s.LeftOut == 1:
		text += "1 row was left out because it makes no sense.\n"
	case s.LeftOut > 1:
		text += fmt.Sprintf("%d rows were left out because they make no sense.\n", s.LeftOut)
	}
	_, err := io.WriteString(h.out, text)
	return err
}

// clock writes a time without what is zero in it: 6m, 1h30m, 12.5s.
func clock(d time.Duration) string {
	text := d.Round(time.Millisecond).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
