// Package query reads what a user wrote in PromQL, with placeholders for the
// release that is measured. It asks no server.
//
// Parse or ParseSelector once, then For for each release.
package query

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Query is a PromQL expression whose label matchers may hold placeholders.
type Query struct {
	text  string
	names []string
}

// Release fills placeholders.
type Release struct {
	ID, Version string
	// Address is host and port of the release's own address.
	Address string
	Target  string
	Labels  map[string]string
}

// ErrMissing is wrapped by For when the release lacks what a placeholder stands for.
var ErrMissing = errors.New("the release cannot be told apart")

// placeholder is a name after a dollar sign; two of these stand for one.
var placeholder = regexp.MustCompile(`\$(?:\$|label:[A-Za-z_][A-Za-z0-9_./-]*|[A-Za-z_][A-Za-z0-9_]*)`)

const labelPrefix = "$label:"

var known = []string{"$release", "$version", "$address", "$target"}

// Parse reads any expression.
func Parse(text string) (*Query, error) {
	expr, err := parse(text)
	if err != nil {
		return nil, err
	}
	q := &Query{text: text}
	for _, s := range selectors(expr) {
		for _, m := range s.LabelMatchers {
			for _, name := range placeholder.FindAllString(m.Value, -1) {
				if name != "$$" && !slices.Contains(known, name) && !strings.HasPrefix(name, labelPrefix) {
					return nil, fmt.Errorf("%s is no placeholder; there are %s and %sNAME, and $$ stands for a dollar sign", name, strings.Join(known, ", "), labelPrefix)
				}
				q.names = append(q.names, name)
			}
		}
	}
	return q, nil
}

// ParseSelector reads the selector of a metric's latest values: a name, label
// matchers, or both.
func ParseSelector(text string) (*Query, error) {
	q, err := Parse(text)
	if err != nil {
		return nil, err
	}
	expr, err := parse(text)
	if err != nil {
		return nil, err
	}
	s, ok := expr.(*parser.VectorSelector)
	if !ok {
		return nil, fmt.Errorf("a selector is needed here, such as http_requests_total{release=\"$release\"}, and this is %s", kind(expr))
	}
	if s.OriginalOffset != 0 || s.OriginalOffsetExpr != nil || s.Timestamp != nil || s.StartOrEnd != 0 || s.Anchored || s.Smoothed {
		return nil, errors.New("a selector has neither offset nor @ here: which time is read is said by the window")
	}
	return q, nil
}

func kind(expr parser.Expr) string {
	switch e := expr.(type) {
	case *parser.Call:
		return "a call of " + e.Func.Name
	case *parser.AggregateExpr:
		return "an aggregation"
	case *parser.MatrixSelector:
		return "a range"
	}
	return "an expression"
}

// TellsApart reports whether a placeholder depends on the release.
func (q *Query) TellsApart() bool {
	return slices.ContainsFunc(q.names, func(n string) bool { return n != "$$" && n != "$target" })
}

// String is what the user wrote.
func (q *Query) String() string { return q.text }

// For is the query of one release, without comments. Values are quoted as the
// matcher needs it.
func (q *Query) For(r Release) (string, error) {
	expr, err := parse(q.text)
	if err != nil {
		return "", err
	}
	for _, s := range selectors(expr) {
		for i, m := range s.LabelMatchers {
			if s.LabelMatchers[i], err = filled(m, r); err != nil {
				return "", err
			}
		}
	}
	return expr.String(), nil
}

func filled(m *labels.Matcher, r Release) (*labels.Matcher, error) {
	var missing error
	inRegexp := m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp
	val := placeholder.ReplaceAllStringFunc(m.Value, func(name string) string {
		if name == "$$" {
			return "$"
		}
		v, why := r.value(name)
		if v == "" {
			missing = fmt.Errorf("%w: %s", ErrMissing, why)
		}
		if inRegexp {
			return regexp.QuoteMeta(v)
		}
		return v
	})
	if missing != nil {
		return nil, missing
	}
	return labels.NewMatcher(m.Type, m.Name, val)
}

func (r Release) value(name string) (v, why string) {
	switch name {
	case "$release":
		return r.ID, "it has no id"
	case "$version":
		return r.Version, "it has no version, which $version stands for"
	case "$address":
		return r.Address, "it has no address of its own, which $address stands for"
	case "$target":
		return r.Target, "it belongs to no target, which $target stands for"
	}
	label := strings.TrimPrefix(name, labelPrefix)
	return r.Labels[label], fmt.Sprintf("it has no label %q, which %s stands for", label, name)
}

// parse never panics, and shows the place of an error as line:column.
func parse(text string) (parser.Expr, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the query is empty")
	}
	expr, err := parser.ParseExpr(text)
	if err != nil {
		return nil, fmt.Errorf("%s", strings.TrimSpace(err.Error()))
	}
	return expr, nil
}

func selectors(expr parser.Expr) (out []*parser.VectorSelector) {
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			out = append(out, s)
		}
		return nil
	})
	return out
}
