package recorded

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/runner-pipelines/runner/core/diagnostics"
)

// Columns of a table.
const (
	colTime, colRelease         = "t_seconds", "release"
	colRequests, colErrors      = "requests", "errors"
	colLE, colCount, colSamples = "le", "count", "value"
)

var columns = []string{colTime, colRelease, colRequests, colErrors, colLE, colCount, colSamples}

// forms by their columns, apart from those that each has.
var forms = []struct {
	form    Form
	columns []string
}{
	{Counts, []string{colRequests, colErrors}},
	{Events, []string{colErrors}},
	{Histogram, []string{colLE, colCount}},
	{Samples, []string{colSamples}},
}

// longestLine of a table, in bytes. So a file without lines does not fill the memory.
const longestLine = 64 << 10

// table reads one CSV file, line by line: no value of a table has two lines.
type table struct {
	recording *Recording
	in        *bufio.Scanner
	// text is the present line, and record its values, of which starts are the places.
	line   int
	text   string
	record []string
	starts []int
	// time, release and le are the places of their columns, as numbers are of the one
	// or two others; -1 is none.
	time, release, le int
	numbers           []int
	header            []string
}

// ofTable looks through a table.
func (r *Recording) ofTable(f File) *Recording {
	if r.problems.Failed() {
		return nil
	}
	ordered, last := true, math.Inf(-1)
	whole := scan(r, f, func(x row) bool {
		r.Rows++
		ordered = ordered && x.t >= last
		last = x.t
		return true
	})
	if !whole || r.problems.Failed() {
		return nil
	}
	if r.Rows == 0 {
		r.problems.Fail(f.Name, "Empty recording", "there is no row with a time.")
		return nil
	}
	if !r.cast() {
		return nil
	}
	clear(r.left) // what the first reading left out is met again
	r.order = nil
	known := len(r.releases)
	again := func(yield func(row) bool) bool {
		return scan(r, f, func(x row) bool {
			return int(x.release) >= known || r.role(&x) < 0 || yield(x)
		})
	}
	if ordered {
		r.each = again
		return r
	}
	var rows []row
	again(func(x row) bool {
		rows = append(rows, x)
		return true
	})
	r.sorted(rows)
	return r
}

// scan gives the rows of a table that have a time; it is false after a problem.
func scan(r *Recording, f File, yield func(row) bool) bool {
	from, err := f.open()
	if err != nil {
		r.problems.Fail(f.Name, "File not readable", "%s.", plain(err))
		return false
	}
	defer from.Close()
	t := &table{recording: r, in: bufio.NewScanner(withoutMark(from))}
	t.in.Buffer(make([]byte, 0, longestLine), longestLine)
	if !t.next() {
		if !r.problems.Failed() {
			r.problems.Fail(f.Name, "Empty recording", "there is not even a line with the names of the columns.")
		}
		return false
	}
	if !t.head() {
		return false
	}
	for bad := 0; t.next(); {
		x, ok := t.row()
		switch {
		case !ok:
			if bad++; bad == mostProblems {
				return false
			}
		case math.IsNaN(x.t):
			r.leave("the time is not a number", x.line)
		case bad == 0 && !yield(x):
			return true
		}
	}
	return !r.problems.Failed()
}

// withoutMark leaves out the byte order mark that some editors put at the beginning.
func withoutMark(from io.Reader) io.Reader {
	in := bufio.NewReaderSize(from, 1<<16)
	if mark, _ := in.Peek(3); string(mark) == "\xef\xbb\xbf" {
		_, _ = in.Discard(len(mark)) // they were seen
	}
	return in
}

// next is false at the end, and after a problem.
func (t *table) next() bool {
	for t.in.Scan() {
		t.line++
		if t.text = t.in.Text(); strings.TrimSpace(t.text) != "" && t.text[0] != '#' {
			return t.split()
		}
	}
	p, name := t.recording.problems, t.recording.name
	switch err := t.in.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		p.at(place{file: name, line: t.line + 1, column: 1}, "Invalid table", "This line is longer than %d KiB. A row has a few numbers.", longestLine>>10)
	case err != nil:
		p.Fail(name, "File not readable", "%s.", plain(err))
	}
	return false
}

// split finds the values of a line.
func (t *table) split() bool {
	t.record, t.starts = t.record[:0], t.starts[:0]
	if strings.IndexByte(t.text, '"') >= 0 {
		return t.quoted()
	}
	for at, more := 0, true; more; {
		var value string
		t.starts = append(t.starts, at)
		value, _, more = strings.Cut(t.text[at:], ",")
		t.record = append(t.record, strings.TrimSpace(value))
		at += len(value) + 1
	}
	return true
}

// quoted is split for a line with quotes.
func (t *table) quoted() bool {
	in := csv.NewReader(strings.NewReader(t.text))
	in.TrimLeadingSpace = true
	record, err := in.Read()
	if err != nil {
		at := 1
		if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
			at, err = max(wrong.Column, 1), wrong.Err
		}
		t.recording.problems.at(place{file: t.recording.name, line: t.line, column: at, text: t.text, from: at - 1, to: at - 1}, "Invalid table", "This line is not CSV: %s.", err)
		return false
	}
	for i, v := range record {
		_, at := in.FieldPos(i)
		t.record, t.starts = append(t.record, strings.TrimSpace(v)), append(t.starts, at-1)
	}
	return true
}

// place of a column of the present line.
func (t *table) place(column int) place {
	from, to := t.starts[column], len(t.text)
	if column+1 < len(t.starts) {
		to = t.starts[column+1] - 1
	}
	return place{file: t.recording.name, line: t.line, column: from + 1, text: t.text, from: from, to: max(from, to)}
}

// head reads the names of the columns.
func (t *table) head() bool {
	p := t.recording.problems
	t.header = nil
	for i, raw := range t.record {
		name := strings.ToLower(raw)
		switch {
		case slices.Contains(t.header, name):
			p.at(t.place(i), "Duplicate column", "There are two columns %q.", name)
			return false
		case !slices.Contains(columns, name):
			hint := diagnostics.Suggest(name, columns)
			if strings.ContainsAny(name, ";\t") {
				hint = " Columns are separated by commas."
			}
			p.at(t.place(i), "Unknown column", "There is no column %q.%s Columns are %s.", clip(name), hint, strings.Join(columns, ", "))
			return false
		}
		t.header = append(t.header, name)
	}
	for _, name := range []string{colTime, colRelease} {
		if !slices.Contains(t.header, name) {
			p.at(t.place(0), "Missing column", "There is no column %q. The first line of a table names its columns, such as t_seconds,release,requests,errors.", name)
			return false
		}
	}
	rest := slices.DeleteFunc(slices.Clone(t.header), func(n string) bool { return n == colTime || n == colRelease })
	slices.Sort(rest)
	i := slices.IndexFunc(forms, func(f struct {
		form    Form
		columns []string
	}) bool {
		return slices.Equal(slices.Sorted(slices.Values(f.columns)), rest)
	})
	if i < 0 {
		p.at(t.place(0), "Missing column", "Beside t_seconds and release a table has requests and errors; or errors alone; or le and count; or value. This one has %s.", list(rest))
		return false
	}
	form := forms[i].form
	if form == Samples && t.recording.options.Counter {
		p.at(t.place(slices.Index(t.header, colSamples)), "Invalid recording", "Single values are no counters; they are read without -series=counter.")
		return false
	}
	t.recording.Form = form
	t.time, t.release, t.le = slices.Index(t.header, colTime), slices.Index(t.header, colRelease), slices.Index(t.header, colLE)
	for _, name := range forms[i].columns {
		if name != colLE {
			t.numbers = append(t.numbers, slices.Index(t.header, name))
		}
	}
	return true
}

// row reads the present line; false with a problem when it cannot be read.
func (t *table) row() (row, bool) {
	p, name := t.recording.problems, t.recording.name
	x := row{line: int32(min(t.line, math.MaxInt32))}
	if len(t.record) != len(t.header) {
		p.at(place{file: name, line: t.line, column: 1, text: t.text, to: len(t.text)}, "Incomplete row", "This line has %d columns, and the first line names %d.", len(t.record), len(t.header))
		return x, false
	}
	id, ok := t.recording.release(t.record[t.release])
	if !ok {
		p.at(t.place(t.release), "Invalid recording", "There are more than %d releases. Is this the column of the release?", mostReleases)
		return x, false
	}
	x.release = id
	if x.t, ok = t.number(t.time, true); !ok {
		return x, false
	}
	if math.Abs(x.t) > MostTime {
		p.at(t.place(t.time), "Invalid number", "A time is in seconds, and at most %g of them.", MostTime)
		return x, false
	}
	if t.le >= 0 {
		if x.le, ok = t.number(t.le, true); !ok {
			return x, false
		}
		if math.IsNaN(x.le) || math.IsInf(x.le, -1) {
			p.at(t.place(t.le), "Invalid number", "The bound of a bucket is a number or +Inf.")
			return x, false
		}
	}
	for k, column := range t.numbers {
		if x.has[k] = t.record[column] != ""; !x.has[k] {
			continue
		}
		if x.v[k], ok = t.number(column, false); !ok {
			return x, false
		}
	}
	return x, true
}

func (t *table) number(column int, must bool) (float64, bool) {
	text := t.record[column]
	v, err := strconv.ParseFloat(text, 64)
	// What is too large for a number is infinite, which is for the judge to refuse.
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return v, true
	}
	x, what := t.place(column), t.header[column]
	if text == "" && must {
		t.recording.problems.at(x, "Invalid number", "%s is empty. Only a number that was not measured may be.", what)
		return 0, false
	}
	t.recording.problems.at(x, "Invalid number", "%s is %q, and should be a number.", what, clip(text))
	return 0, false
}

// clip shortens what people have to read.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
