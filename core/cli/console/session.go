package console

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/runner-pipelines/runner/core/cli/hclvalue"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/scan"
	"github.com/runner-pipelines/runner/core/scope"
)

// maxExpression is the longest line that is read, in bytes.
const maxExpression = 1 << 20

// session takes lines and gives results.
type session struct {
	place       *scope.Context
	files       map[string]*hcl.File
	out, errors io.Writer
	// begun are the lines of an expression that is not complete.
	begun strings.Builder
}

// line takes one more line. End says that the person wants to leave. The result is
// written; a mistake is shown and ok is false.
func (s *session) line(text string) (end, ok bool) {
	if s.begun.Len() == 0 {
		switch strings.TrimSpace(text) {
		case "":
			return false, true
		case "exit", "quit":
			return true, true
		}
	}
	s.begun.WriteString(text + "\n")
	src := s.begun.String()
	if isOpen(src) {
		return false, true
	}
	s.begun.Reset()
	return false, s.evaluate(src)
}

// waiting reports whether the next line goes on with an expression.
func (s *session) waiting() bool { return s.begun.Len() > 0 }

// finish evaluates what was begun when no more lines come.
func (s *session) finish() bool {
	src := s.begun.String()
	s.begun.Reset()
	return src == "" || s.evaluate(src)
}

func (s *session) evaluate(src string) bool {
	s.files[source] = &hcl.File{Bytes: []byte(src)}
	value, diags := s.value(src)
	if len(diags) > 0 {
		_ = diagnostics.Write(s.errors, diagnostics.Tidy(diags), s.files)
	}
	if diags.HasErrors() {
		return false
	}
	fmt.Fprintln(s.out, value)
	return true
}

func (s *session) value(src string) (string, hcl.Diagnostics) {
	if err := scan.Template([]byte(`"${` + src + `}"`)); err != nil {
		at := hcl.Range{Filename: source, Start: hcl.InitialPos, End: hcl.InitialPos}
		return "", hcl.Diagnostics{diagnostics.Error(at, "Nested too deeply", "The expression is nested deeper than %d levels.", scan.MaxDepth)}
	}
	expr, diags := hclsyntax.ParseExpression([]byte(src), source, hcl.InitialPos)
	if diags.HasErrors() {
		return "", diags
	}
	v, more := s.place.Eval(expr)
	return hclvalue.Format(v), append(diags, more...)
}

// isOpen reports whether an expression waits for a closing bracket, or for the
// end of a heredoc.
func isOpen(src string) bool {
	tokens, _ := hclsyntax.LexExpression([]byte(src), source, hcl.InitialPos)
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOHeredoc,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCHeredoc,
			hclsyntax.TokenTemplateSeqEnd:
			depth--
		}
	}
	return depth > 0
}

// piped reads lines to their end, or to the first mistake.
func piped(s *session, in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxExpression)
	for lines.Scan() {
		end, ok := s.line(lines.Text())
		if !ok {
			return failed()
		}
		if end {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading expressions: %w", err)
	}
	if !s.finish() {
		return failed()
	}
	return nil
}
