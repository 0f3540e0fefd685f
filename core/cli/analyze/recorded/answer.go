package recorded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// role is what the numbers of an answer are.
type role int

const (
	// values: single ones, or buckets where there is a label le.
	values role = iota
	ofRequests
	ofErrors
)

// labelLE names the bucket in a histogram of Prometheus.
const labelLE = "le"

// answer reads what Prometheus answers to /api/v1/query_range.
type answer struct {
	recording *Recording
	name      string
	content   []byte
	role      role

	in     *json.Decoder
	kind   string
	rows   []row
	series map[string]int32
	// labelled counts series that name their release; labels are those that others had.
	labelled int
	labels   []string
}

// ofAnswers looks through answers.
func (r *Recording) ofAnswers(all ...*answer) *Recording {
	var rows []row
	series := map[string]int32{}
	labelled := 0
	var labels []string
	for _, a := range all {
		a.series = series
		if !a.read() {
			return nil
		}
		rows, labelled, labels = append(rows, a.rows...), labelled+a.labelled, append(labels, a.labels...)
	}
	switch {
	case len(rows) == 0 && len(labels) > 0:
		slices.Sort(labels)
		r.problems.Fail(r.name, "Unknown release", "no series has the label %q, which should name its release. There is %s.", r.options.Label, list(slices.Compact(labels)))
		return nil
	case len(rows) == 0:
		r.problems.Fail(r.name, "Empty recording", "the answer has no values.")
		return nil
	}
	r.Rows = len(rows)
	if !r.cast() {
		return nil
	}
	r.sorted(slices.DeleteFunc(rows, func(x row) bool { return r.role(&x) < 0 }))
	return r
}

// wrong tells what is wrong with an answer, near a place of it; false.
func (a *answer) wrong(at int64, format string, args ...any) bool {
	i := min(max(int(at), 0), len(a.content))
	for i < len(a.content) && strings.IndexByte(" \t\r\n,", a.content[i]) >= 0 {
		i++ // to what is wrong
	}
	before := a.content[:i]
	begin := bytes.LastIndexByte(before, '\n') + 1
	line := bytes.Count(before, []byte("\n")) + 1
	const around = 40
	from, to := max(begin, i-around), min(len(a.content), i+around)
	for from < i && !utf8.RuneStart(a.content[from]) {
		from++
	}
	if n := bytes.IndexByte(a.content[i:to], '\n'); n >= 0 {
		to = i + n
	}
	text := strings.ToValidUTF8(string(a.content[from:to]), "")
	from = min(i-from, len(text))
	a.recording.problems.at(place{file: a.name, line: line, column: i - begin + 1, text: text, from: from, to: from}, "Invalid Prometheus answer", format, args...)
	return false
}

var errShape = errors.New("shape")

// read is false after a problem.
func (a *answer) read() bool {
	a.in = json.NewDecoder(bytes.NewReader(a.content))
	var status, kind, message string
	found := false
	err := a.object(func(key string) error {
		switch key {
		case "status":
			return a.in.Decode(&status)
		case "errorType":
			return a.in.Decode(&kind)
		case "error":
			return a.in.Decode(&message)
		case "data":
			found = true
			return a.object(a.data)
		}
		return a.skip()
	})
	if err == nil {
		if _, more := a.in.Token(); !errors.Is(more, io.EOF) {
			return a.wrong(a.in.InputOffset(), "Something follows the answer.")
		}
	}
	switch {
	case a.recording.problems.Failed():
		return false
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return a.wrong(int64(len(a.content)), "The answer ends in the middle.")
	case err != nil:
		at := a.in.InputOffset()
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = syntax.Offset
		}
		if errors.Is(err, errShape) {
			return a.wrong(at, "This is not what Prometheus answers to a range query: {\"status\":…,\"data\":{\"resultType\":\"matrix\",\"result\":[…]}}.")
		}
		return a.wrong(at, "This is not JSON of the form that Prometheus answers in: %s.", err)
	case status == "error":
		a.recording.problems.Fail(a.name, "Query failed", "Prometheus answered with an error (%s): %s", kind, strings.TrimSuffix(message, ".")+".")
		return false
	case !found || a.kind != "matrix":
		return a.wrong(0, "The answer holds %s. What is needed is that of a range query, a matrix.", orNothing(a.kind))
	}
	return true
}

func orNothing(kind string) string {
	if kind == "" {
		return "no data"
	}
	return fmt.Sprintf("data of the type %q", kind)
}

// object reads an object; member reads the value of a key.
func (a *answer) object(member func(key string) error) error {
	if err := a.opening('{'); err != nil {
		return err
	}
	for a.in.More() {
		token, err := a.in.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string) // keys are strings
		if err := member(key); err != nil {
			return err
		}
	}
	_, err := a.in.Token()
	return err
}

func (a *answer) array(member func() error) error {
	if err := a.opening('['); err != nil {
		return err
	}
	for a.in.More() {
		if err := member(); err != nil {
			return err
		}
	}
	_, err := a.in.Token()
	return err
}

func (a *answer) opening(want json.Delim) error {
	token, err := a.in.Token()
	if err == nil && token != want {
		return errShape
	}
	return err
}

func (a *answer) skip() error {
	var ignored json.RawMessage
	return a.in.Decode(&ignored)
}

func (a *answer) data(key string) error {
	switch key {
	case "resultType":
		return a.in.Decode(&a.kind)
	case "result":
		if a.kind != "" && a.kind != "matrix" {
			return a.skip()
		}
		return a.array(a.one)
	}
	return a.skip()
}

// one reads one series.
func (a *answer) one() error {
	start := a.in.InputOffset()
	var metric map[string]string
	var rows []row
	native := false
	err := a.object(func(key string) error {
		switch key {
		case "metric":
			return a.in.Decode(&metric)
		case "values":
			return a.array(func() error {
				x, err := a.value()
				rows = append(rows, x)
				return err
			})
		case "histograms":
			native = true
		}
		return a.skip()
	})
	if err != nil {
		return err
	}
	if native {
		a.wrong(start, "Native histograms are not read. Ask for classic buckets, with a label le, or for a quantile.")
		return errShape
	}
	return a.assign(start, metric, rows)
}

// assign gives the values of a series to its release.
func (a *answer) assign(start int64, metric map[string]string, rows []row) error {
	r := a.recording
	name, ok := metric[r.options.Label]
	if !ok {
		a.labels = append(a.labels, slices.Collect(maps.Keys(metric))...)
		if len(metric) == 0 && !r.options.Past {
			a.labels = append(a.labels, "no label")
		}
		if !r.options.Past {
			return nil
		}
		name = stables[0] // the past needs no name
	}
	release, ok := r.release(name)
	if !ok {
		a.wrong(start, "There are more than %d releases. Is %q the label that names them?", mostReleases, r.options.Label)
		return errShape
	}
	a.labelled++
	le := 0.0
	if a.role == values {
		form := Samples
		text, isBucket := metric[labelLE]
		if isBucket {
			form = Histogram
			var err error
			if le, err = strconv.ParseFloat(text, 64); err != nil || math.IsNaN(le) || math.IsInf(le, -1) {
				a.wrong(start, "The bucket le=%q is not a number.", clip(text))
				return errShape
			}
		}
		if r.Form != "" && r.Form != form {
			a.wrong(start, "Some series are buckets, with a label le, and others are not.")
			return errShape
		}
		if r.Form = form; form == Samples && r.options.Counter {
			r.problems.Fail(r.name, "Invalid recording", "Single values are no counters; they are read without -series=counter.")
			return errShape
		}
	}
	series := a.identity(metric)
	for i := range rows {
		x := &rows[i]
		x.release, x.series, x.le = release, series, le
		if a.role == ofErrors && r.Form == Counts {
			x.v[0], x.v[1], x.has = 0, x.v[0], [2]bool{false, true}
		}
	}
	a.rows = append(a.rows, rows...)
	return nil
}

// identity numbers series, from 1; the buckets of a histogram are one.
func (a *answer) identity(metric map[string]string) int32 {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", a.role)
	for _, k := range slices.Sorted(maps.Keys(metric)) {
		if a.role != values || k != labelLE {
			fmt.Fprintf(&b, "\x00%s\x00%s", k, metric[k])
		}
	}
	id := a.series[b.String()]
	if id == 0 {
		id = int32(len(a.series) + 1)
		a.series[b.String()] = id
	}
	return id
}

// value reads one: [1700000000.5, "3"].
func (a *answer) value() (x row, err error) {
	at := a.in.InputOffset()
	var raw []any
	if err := a.in.Decode(&raw); err != nil {
		return x, err
	}
	ok := len(raw) == 2
	var text string
	if ok {
		x.t, ok = raw[0].(float64)
	}
	if ok {
		text, ok = raw[1].(string)
	}
	if ok {
		x.v[0], err = strconv.ParseFloat(text, 64)
		ok = err == nil || errors.Is(err, strconv.ErrRange)
	}
	if !ok || math.Abs(x.t) > MostTime {
		a.wrong(at, `A value is a time in seconds and a number in quotes, such as [1700000000, "3"].`)
		return x, errShape
	}
	x.has[0] = true
	return x, nil
}
