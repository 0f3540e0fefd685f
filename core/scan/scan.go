// Package scan looks over source text before the parser does.
//
// The HCL parser and all that walks its trees are recursive, hold every token of
// a file at once, and copy a long text again for each of its lines. Config,
// Template and JSON refuse text that would take more stack, memory or time than
// anything meant seriously; Config also says where a large file can be cut, so
// that it is parsed piece by piece in little memory.
package scan

import (
	"bytes"
	"encoding/json"
)

// Cut is a place between two top-level blocks, at the beginning of a line.
type Cut struct {
	Byte int
	// Line counts from 1.
	Line int
}

// Config looks over a file of the native syntax. The cuts are at least
// minPiece bytes apart. The error is a *LimitError.
func Config(src []byte, minPiece int) ([]Cut, error) {
	s := scanner{src: src, line: 1, minPiece: minPiece, usage: &usage{}}
	s.push(frame{kind: top})
	s.run()
	if s.over != nil {
		return nil, s.over
	}
	return s.cuts, nil
}

// Template looks over a template. The error is a *LimitError.
func Template(src []byte) error {
	if over := scanTemplate(src, &usage{}); over != nil {
		return over
	}
	return nil
}

func scanTemplate(src []byte, u *usage) *LimitError {
	s := scanner{src: src, line: 1, usage: u}
	s.push(frame{kind: template})
	s.run()
	return s.over
}

// JSON looks over a file of the JSON syntax, whose strings are templates. The
// error is a *LimitError.
func JSON(src []byte) error {
	depth, line := 0, 1
	u := &usage{}
	for i := 0; i < len(src); i++ {
		c := src[i]
		var limit *Limit
		start := i
		switch {
		case c == '\n':
			line++
			continue
		case c == ' ' || c == '\t' || c == '\r':
			continue
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				limit = Depth
			}
		case c == '}' || c == ']':
			depth--
		case c >= '0' && c <= '9':
			n, ok := number(src[i:])
			if !ok {
				limit = Number
			}
			i += n - 1
		case c == '"':
			end := endOfString(src, i)
			if quoted := src[i:end]; bytes.Contains(quoted, []byte("{")) {
				var text string
				// What is no valid string is for the parser to report.
				if json.Unmarshal(quoted, &text) == nil {
					if over := scanTemplate([]byte(text), u); over != nil {
						limit = over.Limit
					}
				}
			}
			i = end - 1
		}
		if limit == nil {
			limit = u.token()
		}
		if limit != nil {
			return &LimitError{Limit: limit, Line: line, Byte: start}
		}
	}
	return nil
}

// endOfString is the offset after the closing quote of the string at start.
func endOfString(src []byte, start int) int {
	for i := start + 1; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(src)
}

type kind byte

const (
	top kind = iota
	brace
	bracket
	paren
	// quote, heredoc and template hold text with ${…} and %{…} in it.
	quote
	heredoc
	template
	// sequence is inside ${…} or %{…}.
	sequence
)

func (k kind) isText() bool { return k == quote || k == heredoc || k == template }

type frame struct {
	kind kind
	// nested counts what the parser nests without a bracket: operators of the
	// expression at hand, or open %{if} and %{for} of a text.
	nested int
	// marker ends a heredoc.
	marker []byte
	// length is of the text since the last sequence, in bytes.
	length int
}

type scanner struct {
	src      []byte
	pos      int
	line     int
	stack    []frame
	depth    int
	minPiece int
	lastCut  int
	cuts     []Cut
	usage    *usage
	// over is set once a limit is broken, and ends the scan.
	over *LimitError
}

func (s *scanner) push(f frame) {
	s.stack = append(s.stack, f)
	s.depth++
}

func (s *scanner) pop() {
	s.depth -= 1 + s.top().nested
	s.stack = s.stack[:len(s.stack)-1]
}

func (s *scanner) top() *frame { return &s.stack[len(s.stack)-1] }

func (s *scanner) nest(n int) {
	s.top().nested += n
	s.depth += n
}

// reset forgets the operators of an expression that is over.
func (s *scanner) reset() { s.nest(-s.top().nested) }

// run reads to the end, or to the first limit that is broken.
func (s *scanner) run() {
	for s.pos < len(s.src) && s.over == nil {
		if s.depth > MaxDepth {
			s.refuse(Depth)
		} else if s.top().kind.isText() {
			s.text()
		} else {
			s.code()
		}
	}
	if s.depth > MaxDepth {
		s.refuse(Depth)
	}
}

// refuse names a limit that is broken here; the first one counts. Nil is none.
func (s *scanner) refuse(l *Limit) {
	if l != nil && s.over == nil {
		s.over = &LimitError{Limit: l, Line: s.line, Byte: min(s.pos, len(s.src))}
	}
}

func (s *scanner) starts(prefix string) bool {
	return bytes.HasPrefix(s.src[s.pos:], []byte(prefix))
}

// code reads one token, or some characters of one, outside text.
func (s *scanner) code() {
	c := s.src[s.pos]
	switch {
	case c == ' ' || c == '\t' || c == '\r':
		s.pos++
		return
	case c < ' ' && c != '\n' || c == 0x7f:
		s.refuse(Control)
		return
	case c >= '0' && c <= '9':
		n, ok := number(s.src[s.pos:])
		if !ok {
			s.refuse(Number)
			return
		}
		s.pos += n
		s.refuse(s.usage.token())
		return
	case isWord(c):
		start := s.pos
		for s.pos < len(s.src) && isWord(s.src[s.pos]) {
			s.pos++
		}
		if s.pos-start > maxWord {
			s.refuse(Word)
		}
		s.refuse(s.usage.token())
		return
	}
	s.refuse(s.usage.token())
	s.pos++
	switch c {
	case '\n':
		s.newline()
	case '#':
		s.skipLine()
	case '/':
		switch {
		case s.starts("/"):
			s.skipLine()
		case s.starts("*"):
			s.skipComment()
		default:
			s.nest(1)
		}
	case '"':
		s.push(frame{kind: quote})
	case '<':
		if marker, rest, ok := heredocMarker(s.src[s.pos:]); ok {
			s.pos += rest
			s.line++
			s.push(frame{kind: heredoc, marker: marker})
			return
		}
		s.nest(1)
	case '{':
		s.push(frame{kind: brace})
	case '[':
		s.push(frame{kind: bracket})
	case '(':
		s.push(frame{kind: paren})
	case '}', ']', ')':
		s.closes(c)
	case ',':
		s.reset()
	case '!', '-', '+', '*', '%', '&', '|', '?', '>':
		s.nest(1)
	}
}

func (s *scanner) newline() {
	s.line++
	switch s.top().kind {
	case top:
		s.reset()
		if s.minPiece > 0 && s.pos-s.lastCut >= s.minPiece && endsBlock(s.src[:s.pos-1]) {
			s.lastCut = s.pos
			s.cuts = append(s.cuts, Cut{Byte: s.pos, Line: s.line})
			s.usage.piece = 0
		}
	case brace:
		s.reset()
	}
}

// endsBlock reports whether the text ends with a closing brace.
func endsBlock(src []byte) bool {
	return bytes.HasSuffix(bytes.TrimRight(src, " \t\r"), []byte("}"))
}

// closes ends the innermost bracket if it is of this kind; a wrong one is for
// the parser to report.
func (s *scanner) closes(c byte) {
	k := s.top().kind
	switch {
	case c == '}' && (k == brace || k == sequence), c == ')' && k == paren:
		s.pop()
	case c == ']' && k == bracket:
		s.pop()
		// An index makes the expression before it one level deeper.
		s.nest(1)
	}
}

func (s *scanner) skipLine() {
	if i := bytes.IndexByte(s.src[s.pos:], '\n'); i >= 0 {
		s.pos += i
	} else {
		s.pos = len(s.src)
	}
}

func (s *scanner) skipComment() {
	end := len(s.src)
	if i := bytes.Index(s.src[s.pos+1:], []byte("*/")); i >= 0 {
		end = s.pos + 1 + i + 2
	}
	s.line += bytes.Count(s.src[s.pos:end], []byte("\n"))
	s.pos = end
}

// heredocMarker reads what follows the first <: the marker, and how many bytes
// to skip to the first line of text.
func heredocMarker(rest []byte) (marker []byte, skip int, ok bool) {
	end := bytes.IndexByte(rest, '\n')
	if end < 0 || !bytes.HasPrefix(rest, []byte("<")) {
		return nil, 0, false
	}
	word := bytes.TrimSuffix(bytes.TrimPrefix(rest[1:end], []byte("-")), []byte("\r"))
	for i, r := range string(word) {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127
		if !letter && (i == 0 || r != '-' && (r < '0' || r > '9')) {
			return nil, 0, false
		}
	}
	return word, end + 1, len(word) > 0
}

// text reads up to the next thing of interest in a string or template.
func (s *scanner) text() {
	f := s.top()
	if f.kind == heredoc && (s.pos == 0 || s.src[s.pos-1] == '\n') {
		line, _, _ := bytes.Cut(s.src[s.pos:], []byte("\n"))
		if bytes.Equal(bytes.TrimSpace(line), f.marker) {
			s.pos += len(line)
			s.pop()
			return
		}
	}
	c := s.src[s.pos]
	s.pos++
	f.length++
	switch {
	case c == '\n':
		s.line++
		s.refuse(s.usage.literal(f.length))
	case c == '\\' && f.kind == quote && s.pos < len(s.src) && s.src[s.pos] != '\n':
		s.pos++
	case c == '"' && f.kind == quote:
		s.pop()
	case c == '$' || c == '%':
		s.refuse(s.usage.literal(f.length))
		switch {
		case s.pos+1 < len(s.src) && s.src[s.pos] == c && s.src[s.pos+1] == '{':
			s.pos += 2 // $${ and %%{ are plain text
		case s.starts("{"):
			s.pos++
			f.length = 0
			if c == '%' {
				s.control()
			}
			s.push(frame{kind: sequence})
		}
	}
}

// control counts the text that lies between %{if} and %{endif}.
func (s *scanner) control() {
	word := bytes.TrimLeft(s.src[s.pos:], "~ \t\r\n")
	switch {
	case bytes.HasPrefix(word, []byte("if")), bytes.HasPrefix(word, []byte("for")):
		s.nest(1)
	case bytes.HasPrefix(word, []byte("end")) && s.top().nested > 0:
		s.nest(-1)
	}
}
