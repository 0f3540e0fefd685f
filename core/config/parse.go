package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"

	"github.com/runner-pipelines/runner/core/diagnostics"
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
	if strings.HasSuffix(name, jsonSuffix) {
		f, diags = parseJSON(name, src)
	} else {
		f, diags = parseNative(name, src)
	}
	if f == nil || f.Body == nil {
		f = &hcl.File{Body: hcl.EmptyBody(), Bytes: src}
	}
	return f, diags
}

func parseJSON(name string, src []byte) (*hcl.File, hcl.Diagnostics) {
	if diags := tooDeep(name, scan.JSON(src)); diags != nil {
		return nil, diags
	}
	f, diags := hcljson.Parse(src, name)
	if diags.HasErrors() {
		return nil, reword(diags)
	}
	return f, reword(diags)
}

func parseNative(name string, src []byte) (*hcl.File, hcl.Diagnostics) {
	cuts, err := scan.Config(src, minPiece)
	if diags := tooDeep(name, err); diags != nil {
		return nil, diags
	}
	if f := parsePieces(name, src, cuts); f != nil {
		return f, nil
	}
	f, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	if body, ok := f.Body.(*hclsyntax.Body); ok {
		f.Nav = blockNav{body.Blocks}
	}
	return f, reword(diags)
}

// parsePieces parses a large file piece by piece. It is nil when that is not
// worth the while, or when there are mistakes: the whole file then explains them
// better.
func parsePieces(name string, src []byte, cuts []scan.Cut) *hcl.File {
	if len(cuts) < 2 {
		return nil
	}
	all := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, Blocks: hclsyntax.Blocks{}}
	from := scan.Cut{Line: 1}
	for _, to := range append(cuts, scan.Cut{Byte: len(src)}) {
		f, diags := hclsyntax.ParseConfig(src[from.Byte:to.Byte], name, hcl.Pos{Line: from.Line, Column: 1, Byte: from.Byte})
		if len(diags) > 0 {
			return nil
		}
		body := f.Body.(*hclsyntax.Body)
		if len(body.Attributes) > 0 {
			return nil // none is allowed here; the whole file tells
		}
		all.Blocks = append(all.Blocks, body.Blocks...)
		if from.Byte == 0 {
			all.SrcRange = body.SrcRange
		}
		all.SrcRange.End, all.EndRange = body.SrcRange.End, body.EndRange
		from = to
	}
	all.Blocks = slices.Clip(all.Blocks)
	return &hcl.File{Body: all, Bytes: src, Nav: blockNav{all.Blocks}}
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

func tooDeep(name string, err error) hcl.Diagnostics {
	deep, ok := errors.AsType[*scan.DepthError](err)
	if !ok {
		return nil
	}
	at := hcl.Pos{Line: deep.Line, Column: 1, Byte: deep.Byte}
	return hcl.Diagnostics{diagnostics.Error(hcl.Range{Filename: name, Start: at, End: at}, "Nested too deeply",
		"Brackets, blocks, operators and templates can be nested %d levels deep; here they go deeper. Take parts out into locals or modules.", scan.MaxDepth)}
}

// reword calls an argument of a block what we call it: an attribute.
func reword(diags hcl.Diagnostics) hcl.Diagnostics {
	words := strings.NewReplacer("argument", "attribute", "Argument", "Attribute")
	// One missing quote makes the rest of the file look like strings.
	const unclosed = "Invalid multi-line string"
	seenUnclosed := false
	return slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool {
		if !strings.Contains(d.Detail, "function") {
			d.Summary, d.Detail = words.Replace(d.Summary), words.Replace(d.Detail)
		}
		d.Context = nil
		drop := d.Summary == unclosed && seenUnclosed
		seenUnclosed = seenUnclosed || d.Summary == unclosed
		return drop
	})
}
