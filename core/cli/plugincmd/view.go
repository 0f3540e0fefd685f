package plugincmd

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/sdktest"
)

// view shows the results. The error of end is that of the command.
type view interface {
	begin(*host.Description)
	component(host.Component)
	// untested says why the component of the last call is not tested at all.
	untested(why string)
	check(sdktest.Result)
	end() error
}

// counts are how the checks ended.
type counts struct {
	Passed   int `json:"passed"`
	Failed   int `json:"failed"`
	Skipped  int `json:"skipped"`
	Untested int `json:"untested"`
}

func (c *counts) add(s sdktest.Status) {
	switch s {
	case sdktest.Passed:
		c.Passed++
	case sdktest.Failed:
		c.Failed++
	case sdktest.Skipped:
		c.Skipped++
	}
}

// verdict is the command's error.
func (c *counts) verdict() error {
	if c.Failed+c.Untested == 0 {
		return nil
	}
	return &command.ExitError{Code: command.Failed}
}

// human writes a line for every promise.
type human struct {
	out io.Writer
	counts
}

func (h *human) begin(d *host.Description) {
	_, _ = fmt.Fprintf(h.out, "Plugin %s %s, sdk %s, protocol %d\n", d.Name, d.Version, d.SDK, d.Protocol)
}

func (h *human) component(c host.Component) {
	_, _ = fmt.Fprintf(h.out, "\n%s %s\n", c.Kind, c.Name)
}

func (h *human) untested(why string) {
	h.Untested++
	_, _ = fmt.Fprintf(h.out, "  NOT TESTED  %s.\n", why)
}

func (h *human) check(r sdktest.Result) {
	h.add(r.Status)
	word := map[sdktest.Status]string{sdktest.Passed: "ok", sdktest.Failed: "FAILED", sdktest.Skipped: "skipped"}[r.Status]
	line := fmt.Sprintf("  %-8s%s", word, sentence(r.Name))
	switch {
	case r.Text == "":
	case r.Status == sdktest.Skipped:
		line += ": " + r.Text
	default:
		line += "\n            " + strings.ReplaceAll(r.Text, "\n", "\n            ")
	}
	_, _ = fmt.Fprintln(h.out, line)
}

func (h *human) end() error {
	text := fmt.Sprintf("\n%d promises kept, %d broken, %d not asked for", h.Passed, h.Failed, h.Skipped)
	if h.Untested > 0 {
		text += fmt.Sprintf("; %d components not tested", h.Untested)
	}
	if _, err := fmt.Fprintln(h.out, text+"."); err != nil {
		return err
	}
	return h.verdict()
}

// sentence writes the name of a check with spaces.
func sentence(name string) string {
	var b strings.Builder
	for i, r := range name {
		switch {
		case i == 0, r == '/':
			b.WriteRune(r)
		case unicode.IsUpper(r):
			b.WriteRune(' ')
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// machine writes one object at the end.
type machine struct {
	out    io.Writer
	report report
}

type report struct {
	Plugin     string       `json:"plugin"`
	Version    string       `json:"version"`
	SDK        string       `json:"sdk"`
	Protocol   int          `json:"protocol"`
	Components []*component `json:"components"`
	counts
}

type component struct {
	Kind     string  `json:"kind"`
	Name     string  `json:"name"`
	Untested string  `json:"untested,omitempty"`
	Checks   []check `json:"checks"`
}

type check struct {
	Name   string         `json:"name"`
	Status sdktest.Status `json:"status"`
	Text   string         `json:"text,omitempty"`
}

func (m *machine) begin(d *host.Description) {
	m.report = report{Plugin: d.Name, Version: d.Version, SDK: d.SDK, Protocol: d.Protocol, Components: []*component{}}
}

func (m *machine) component(c host.Component) {
	m.report.Components = append(m.report.Components, &component{Kind: string(c.Kind), Name: c.Name, Checks: []check{}})
}

func (m *machine) last() *component { return m.report.Components[len(m.report.Components)-1] }

func (m *machine) untested(why string) {
	m.report.Untested++
	m.last().Untested = why
}

func (m *machine) check(r sdktest.Result) {
	m.report.add(r.Status)
	m.last().Checks = append(m.last().Checks, check(r))
}

func (m *machine) end() error {
	enc := json.NewEncoder(m.out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m.report); err != nil {
		return err
	}
	return m.report.verdict()
}
