package recorded

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/diagnostics"
)

// mostProblems of a file are told; who has so many has another file in mind.
const mostProblems = 20

// Problems are what is wrong with recordings, for diagnostics.Write.
type Problems struct {
	Diags hcl.Diagnostics
	// Files hold the lines that the problems speak of, and no others.
	Files map[string]*hcl.File
}

// Failed reports whether there is an error.
func (p *Problems) Failed() bool { return p.Diags.HasErrors() }

// Fail adds a problem of a whole file or metric.
func (p *Problems) Fail(file, summary, detail string, args ...any) {
	p.Diags = append(p.Diags, diagnostics.Error(hcl.Range{}, summary, "%s: %s", file, fmt.Sprintf(detail, args...)))
}

// place is a part of a line, of which text is a piece that may be shown.
type place struct {
	file         string
	line, column int
	text         string
	// from and to are of text, in bytes.
	from, to int
}

func (p *Problems) at(x place, summary, detail string, args ...any) {
	p.Diags = append(p.Diags, diagnostics.Error(p.show(x), summary, detail, args...))
}

func (p *Problems) warn(x place, summary, detail string, args ...any) {
	p.Diags = append(p.Diags, diagnostics.Warning(p.show(x), summary, detail, args...))
}

func (p *Problems) show(x place) hcl.Range {
	if p.Files == nil {
		p.Files = map[string]*hcl.File{}
	}
	f := p.Files[x.file]
	if f == nil {
		f = &hcl.File{}
		p.Files[x.file] = f
	}
	base := len(f.Bytes)
	f.Bytes = append(append(f.Bytes, x.text...), '\n')
	return hcl.Range{
		Filename: x.file,
		Start:    hcl.Pos{Line: x.line, Column: x.column, Byte: base + x.from},
		End:      hcl.Pos{Line: x.line, Column: x.column + x.to - x.from, Byte: base + x.to},
	}
}

// left are rows that were left out for one reason.
type left struct{ count, line int }

// leave counts a row that is left out.
func (r *Recording) leave(why string, line int32) {
	l := r.left[why]
	if l == nil {
		l = &left{line: int(line)}
		r.left[why] = l
		r.order = append(r.order, why)
	}
	l.count++
}

// LeftOut is how many rows were left out so far.
func (r *Recording) LeftOut() (n int) {
	for _, l := range r.left {
		n += l.count
	}
	return n
}

// Warn tells what was left out, to be asked after the last moment.
func (r *Recording) Warn() {
	for _, why := range r.order {
		l := r.left[why]
		rows := fmt.Sprintf("%d rows were left out: %s.", l.count, why)
		if l.count == 1 {
			rows = fmt.Sprintf("1 row was left out: %s.", why)
		} else if l.line > 0 {
			rows += " This is the first."
		}
		if l.line == 0 {
			r.problems.Diags = append(r.problems.Diags, diagnostics.Warning(hcl.Range{}, "Rows left out", "%s: %s", r.name, rows))
			continue
		}
		r.problems.warn(place{file: r.name, line: l.line, column: 1}, "Rows left out", "%s", rows)
	}
}
