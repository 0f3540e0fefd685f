// Package diagnostics shows diagnostics to people and to programs. Start with
// Write for text and View for JSON; Tidy first, where several rooms reported.
// Rooms that report make theirs with Error and Warning.
package diagnostics

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// Extra is carried in hcl.Diagnostic.Extra.
type Extra struct {
	// Code is what a plugin calls the problem; may be empty. Those that the program
	// itself reports have the code of the page that speaks of their summary; see Code.
	Code string
	// Hidden says that the source line holds something that must not be shown: the
	// place is named and the line is left out.
	Hidden bool
}

// Error is one diagnostic of severity error. The summary is a class of
// problem; the detail says what, why it matters and what to do, in sentences.
func Error(subject hcl.Range, summary, detail string, args ...any) *hcl.Diagnostic {
	return newDiagnostic(hcl.DiagError, subject, summary, detail, args)
}

// Warning is worth telling, even on success.
func Warning(subject hcl.Range, summary, detail string, args ...any) *hcl.Diagnostic {
	return newDiagnostic(hcl.DiagWarning, subject, summary, detail, args)
}

func newDiagnostic(severity hcl.DiagnosticSeverity, subject hcl.Range, summary, detail string, args []any) *hcl.Diagnostic {
	d := &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: fmt.Sprintf(detail, args...)}
	if subject.Filename != "" {
		d.Subject = &subject
	}
	return d
}

// Tidy drops repeated diagnostics (instances of one stage repeat each other's)
// and sorts the rest: by file and place, those without a place first.
func Tidy(diags hcl.Diagnostics) hcl.Diagnostics {
	if len(diags) < 2 {
		return diags
	}
	type identity struct {
		severity        hcl.DiagnosticSeverity
		summary, detail string
		subject         hcl.Range
	}
	seen := make(map[identity]bool, len(diags))
	out := make(hcl.Diagnostics, 0, len(diags))
	for _, d := range diags {
		id := identity{severity: d.Severity, summary: d.Summary, detail: d.Detail}
		if d.Subject != nil {
			id.subject = *d.Subject
		}
		if !seen[id] {
			seen[id] = true
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b *hcl.Diagnostic) int {
		switch {
		case a.Subject == nil && b.Subject == nil:
			return 0
		case a.Subject == nil:
			return -1
		case b.Subject == nil:
			return 1
		}
		return cmp.Or(
			strings.Compare(a.Subject.Filename, b.Subject.Filename),
			cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte),
		)
	})
	return together(out)
}

// together tells once what has one cause, such as a plugin that is missing, and
// names the other lines. Those are problems with a code.
func together(diags hcl.Diagnostics) hcl.Diagnostics {
	type cause struct{ file, code, detail string }
	first, lines := map[cause]int{}, map[int][]string{}
	out := diags[:0]
	for _, d := range diags {
		extra, ok := d.Extra.(Extra)
		if !ok || extra.Code == "" || d.Subject == nil {
			out = append(out, d)
			continue
		}
		c := cause{d.Subject.Filename, extra.Code, d.Detail}
		if at, told := first[c]; told {
			lines[at] = append(lines[at], strconv.Itoa(d.Subject.Start.Line))
			continue
		}
		first[c] = len(out)
		out = append(out, d)
	}
	for at, others := range lines {
		more := *out[at]
		where := "line " + others[0]
		if n := len(others) - 1; n > 0 {
			where = "lines " + strings.Join(others[:n], ", ") + " and " + others[n]
		}
		more.Detail += "\n\nThe same is so on " + where + "."
		out[at] = &more
	}
	return out
}

// Suggest is ` Did you mean "x"?` with a leading space when one of the
// candidates is close to the name, else empty.
func Suggest(name string, candidates []string) string {
	if best := Nearest(name, candidates); best != "" {
		return fmt.Sprintf(" Did you mean %q?", best)
	}
	return ""
}

// SuggestOr is what Suggest gives, or where nothing is close another hint, with a
// leading space too.
func SuggestOr(name string, candidates []string, hint string, args ...any) string {
	if near := Suggest(name, candidates); near != "" {
		return near
	}
	return " " + fmt.Sprintf(hint, args...)
}

// Nearest is the candidate that the name was probably meant to be; empty when
// none is close. Of equally near ones it is the first by name.
func Nearest(name string, candidates []string) string {
	const maxDistance = 3
	best, bestDistance := "", maxDistance
	if len(name) > maxName || len(candidates) > maxCandidates {
		return ""
	}
	for _, c := range candidates {
		if len(c)-len(name) > maxDistance || len(name)-len(c) > maxDistance {
			continue
		}
		d := distance(fold(name), fold(c))
		// Two short names that share hardly a letter, or none, are not near.
		if longest := max(len(name), len(c)); d >= longest || 2*d >= longest && d > 1 {
			continue
		}
		if d < bestDistance || d == bestDistance && best != "" && c < best {
			best, bestDistance = c, d
		}
	}
	return best
}

// What is longer is no slip of the hand, and comparing it takes long.
const (
	maxName       = 100
	maxCandidates = 10_000
)

// distance counts edits; letters in the wrong order are one.
func distance(a, b string) int {
	if a != b && sortedLetters(a) == sortedLetters(b) {
		return 1
	}
	return levenshtein.Distance(a, b, nil)
}

func sortedLetters(s string) string {
	b := []byte(s)
	slices.Sort(b)
	return string(b)
}

func fold(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "_") }
