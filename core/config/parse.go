package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scan"
)

// minPiece is how much of a large file is parsed at a time, in bytes: the parser
// needs about two hundred times that for its tokens.
const minPiece = 4 << 10

var byteOrderMark = []byte("\xef\xbb\xbf")

// parseDir reads and parses the files of one directory. It is nil when a file
// cannot be read, or when there is none; at is what asked for the directory.
func (l *loader) parseDir(dir, file string, at hcl.Range) []hcl.Body {
	if bodies, ok := l.parsed[dir]; ok {
		return bodies
	}
	names, err := l.src.list(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.add(diagnostics.Error(at, "Directory not readable", "Reading %s: %s.", dir, plainError(err)))
		l.incomplete = true
		return nil
	}
	var bodies []hcl.Body
	for _, name := range names {
		if !belongs(name, file) {
			continue
		}
		if body := l.parseFile(path.Join(dir, name), at); body != nil {
			bodies = append(bodies, body)
		}
	}
	l.parsed[dir] = bodies
	return bodies
}

func (l *loader) parseFile(name string, at hcl.Range) hcl.Body {
	src, err := l.src.read(name)
	if err != nil {
		l.add(diagnostics.Error(at, "File not readable", "Reading %s: %s.", name, plainError(err)))
		l.incomplete = true
		return nil
	}
	src = bytes.TrimPrefix(src, byteOrderMark)
	l.pipeline.Sources[name] = src
	f, diags := Parse(name, src)
	l.diags = append(l.diags, diags...)
	l.incomplete = l.incomplete || diags.HasErrors()
	l.pipeline.Files[name] = f
	return f.Body
}

func plainError(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// Parse parses one file; in the JSON syntax when its name ends so. The file is
// never nil.
func Parse(name string, src []byte) (*hcl.File, hcl.Diagnostics) {
	var f *hcl.File
	var diags hcl.Diagnostics
	if diag := notText(name, src); diag != nil {
		diags = hcl.Diagnostics{diag}
	} else if strings.HasSuffix(name, jsonSuffix) {
		f, diags = parseJSON(name, src)
	} else {
		f, diags = parseNative(name, src)
	}
	if f != nil {
		if body, native := f.Body.(*hclsyntax.Body); native {
			lang.Meter(body)
		}
	}
	if f == nil || f.Body == nil {
		f = &hcl.File{Body: hcl.EmptyBody(), Bytes: src}
	}
	return f, diags
}

// notText says that the file is not text in UTF-8; nil when it is.
func notText(name string, src []byte) *hcl.Diagnostic {
	if utf8.Valid(src) {
		return nil
	}
	if bytes.HasPrefix(src, []byte("\xff\xfe")) || bytes.HasPrefix(src, []byte("\xfe\xff")) {
		at := hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
		d := diagnostics.Error(at, summaryNotText, "The file is written in UTF-16, as some programs on Windows do. Save it in UTF-8.")
		d.Extra = diagnostics.Extra{Hidden: true}
		return d
	}
	wrong := 0
	for wrong < len(src) {
		r, size := utf8.DecodeRune(src[wrong:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		wrong += size
	}
	at := hcl.Pos{Line: 1 + bytes.Count(src[:wrong], []byte("\n")), Column: 1, Byte: wrong}
	return diagnostics.Error(hcl.Range{Filename: name, Start: at, End: at}, summaryNotText,
		"This line holds bytes that are not UTF-8. The file may be saved in another encoding, or not be text at all: save it in UTF-8, or take it back from version control.")
}

const summaryNotText = "Invalid encoding"

func parseJSON(name string, src []byte) (*hcl.File, hcl.Diagnostics) {
	if diags := overLimit(name, scan.JSON(src)); diags != nil {
		return nil, diags
	}
	f, diags := hcljson.Parse(src, name)
	if diags.HasErrors() {
		return nil, reword(diags, src)
	}
	return f, reword(diags, src)
}

func parseNative(name string, src []byte) (*hcl.File, hcl.Diagnostics) {
	cuts, err := scan.Config(src, minPiece)
	if diags := overLimit(name, err); diags != nil {
		return nil, diags
	}
	if f, diags := parsePieces(name, src, cuts); f != nil || diags != nil {
		return f, diags
	}
	f, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	if body, ok := f.Body.(*hclsyntax.Body); ok {
		f.Nav = blockNav{body.Blocks}
	}
	return f, reword(diags, src)
}

// maxWhole is the largest file that is parsed once more as a whole when it has
// mistakes, in bytes.
const maxWhole = 1 << 20

// parsePieces parses a large file piece by piece. It has no result when that is not
// worth the while, or when there are mistakes: the whole file then explains them
// better, unless it is so large that the first wrong piece must do.
func parsePieces(name string, src []byte, cuts []scan.Cut) (*hcl.File, hcl.Diagnostics) {
	if len(cuts) < 2 {
		return nil, nil
	}
	all := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, Blocks: hclsyntax.Blocks{}}
	from := scan.Cut{Line: 1}
	for _, to := range append(cuts, scan.Cut{Byte: len(src)}) {
		f, diags := hclsyntax.ParseConfig(src[from.Byte:to.Byte], name, hcl.Pos{Line: from.Line, Column: 1, Byte: from.Byte})
		body := f.Body.(*hclsyntax.Body)
		switch {
		case diags.HasErrors() && len(src) > maxWhole:
			return &hcl.File{Body: body, Bytes: src, Nav: blockNav{body.Blocks}}, reword(diags, src)
		case len(diags) > 0, len(body.Attributes) > 0 && len(src) <= maxWhole:
			return nil, nil // attributes are not allowed here; the whole file tells
		}
		maps.Copy(all.Attributes, body.Attributes)
		all.Blocks = append(all.Blocks, body.Blocks...)
		if from.Byte == 0 {
			all.SrcRange = body.SrcRange
		}
		all.SrcRange.End, all.EndRange = body.SrcRange.End, body.EndRange
		from = to
	}
	all.Blocks = slices.Clip(all.Blocks)
	return &hcl.File{Body: all, Bytes: src, Nav: blockNav{all.Blocks}}, nil
}

// blockNav tells which block a place is in; package hcled asks for it.
type blockNav struct{ blocks hclsyntax.Blocks }

// ContextString is the header of the top-level block at the offset, or empty.
func (n blockNav) ContextString(offset int) string {
	i := sort.Search(len(n.blocks), func(i int) bool { return n.blocks[i].Range().End.Byte > offset })
	if i == len(n.blocks) || n.blocks[i].Range().Start.Byte > offset {
		return ""
	}
	b := n.blocks[i]
	var out strings.Builder
	out.WriteString(b.Type)
	for _, label := range b.Labels {
		fmt.Fprintf(&out, " %q", label)
	}
	return out.String()
}

func overLimit(name string, err error) hcl.Diagnostics {
	over, ok := errors.AsType[*scan.LimitError](err)
	if !ok {
		return nil
	}
	at := hcl.Pos{Line: over.Line, Column: 1, Byte: over.Byte}
	return hcl.Diagnostics{diagnostics.Error(hcl.Range{Filename: name, Start: at, End: at}, over.Summary, "%s", over.Detail)}
}

// reword calls an argument of a block what we call it, an attribute, and says what
// to do about what stands at the place.
func reword(diags hcl.Diagnostics, src []byte) hcl.Diagnostics {
	words := strings.NewReplacer("argument", "attribute", "Argument", "Attribute")
	// One missing quote makes the rest of the file look like strings.
	const unclosed = "Invalid multi-line string"
	seenUnclosed := false
	return slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool {
		if !strings.Contains(d.Detail, "function") {
			d.Summary, d.Detail = words.Replace(d.Summary), words.Replace(d.Detail)
		}
		d.Context = nil
		if d.Subject != nil && d.Subject.Start.Byte < len(src) {
			advise(d, src[max(d.Subject.Start.Byte, 0):])
		}
		drop := d.Summary == unclosed && seenUnclosed
		seenUnclosed = seenUnclosed || d.Summary == unclosed
		return drop
	})
}

// advise adds what the parser does not say; rest is the source from the place on.
func advise(d *hcl.Diagnostic, rest []byte) {
	r, _ := utf8.DecodeRune(rest)
	switch {
	case d.Detail == "This character is not used within the language." && r > unicode.MaxASCII:
		d.Detail = fmt.Sprintf("The character %U has no meaning here, though it may look like one that has. It was probably copied from a page or a document: replace it by a plain one, or remove it.", r)
	case r == '$' && d.Summary == "Invalid character":
		d.Detail = `"$" alone has no meaning here. A variable is written var.NAME, and "${var.NAME}" inside of a text.`
	case strings.HasSuffix(d.Detail, "but found an invalid expression token.") && (r == '\n' || r == '\r'):
		d.Summary, d.Detail = "Missing value", "After the equals sign, or the operator, a value is missing at the end of this line. Write it there, or remove the attribute."
	case d.Summary == "Missing item separator":
		d.Detail += " Or the bracket above it is not closed."
	case d.Summary != "Attribute or block definition required":
	case r == '}':
		d.Summary, d.Detail = "Bracket without partner", "This bracket closes no block. Remove it, or look above for a block that is closed too early."
	case bytes.HasPrefix(rest, []byte("<<<<<<<")) || bytes.HasPrefix(rest, []byte("=======")) || bytes.HasPrefix(rest, []byte(">>>>>>>")):
		d.Summary, d.Detail = "Merge conflict", "A merge left this mark, since two changes do not fit together. Decide which lines are right, and remove the others and the marks."
	}
}
