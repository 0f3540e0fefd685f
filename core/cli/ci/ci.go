// Package ci shows a run where nobody sits before a terminal: lines that can be
// read afterwards, a sign of life while nothing happens, and, where the service
// that runs the job folds lines and shows problems in the files, that too.
package ci

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
)

// Quiet is after how long without a line a sign of life is given.
const Quiet = 30 * time.Second

// Service is what a CI service understands beside plain lines.
type Service interface {
	// Fold writes lines under a title as a group that is closed at first.
	Fold(w io.Writer, title string, at time.Time, lines []string)
	// Problem writes what the service shows at a line of a file.
	Problem(w io.Writer, p Problem)
	// Summary keeps the run's end where the service shows it.
	Summary(p Page) error
}

// Problem is something wrong at a place in a file.
type Problem struct {
	Warning bool
	// File is relative to the root of the checkout; empty for no place.
	File         string
	Line, Column int
	Title, Text  string
}

// View is a view.View of lines.
type View struct {
	*view.Human
	out     *paced
	service Service
	opts    Options

	mu    sync.Mutex
	state *kernel.State
	page  Page
	held  map[int64]*held
	last  map[string]string
	stop  chan struct{}
	beats sync.WaitGroup
}

var _ view.View = (*View)(nil)

// Options of a view.
type Options struct {
	Out io.Writer
	// Service may be nil: plain lines.
	Service Service
	// Quiet replaces the time without a line before a sign of life; 0 for Quiet.
	Quiet time.Duration
	// Place turns a file of the pipeline into one of the checkout; may be nil.
	Place func(file string) string
}

// New makes a view.
func New(o Options) *View {
	if o.Quiet == 0 {
		o.Quiet = Quiet
	}
	if o.Place == nil {
		o.Place = func(file string) string { return file }
	}
	out := &paced{w: o.Out, wrote: time.Now()}
	return &View{Human: view.NewHuman(out), out: out, service: o.Service, opts: o, held: map[int64]*held{}, last: map[string]string{}}
}

// Opened implements view.View.
func (v *View) Opened(o view.Opening) {
	v.Human.Opened(o)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.page = Page{Run: o.Run}
	if o.Plan == nil || v.stop != nil {
		return
	}
	v.page.Pipeline, v.page.Graph = o.Plan.Pipeline, &o.Plan.Graph
	saved, err := o.State.Save()
	if err != nil {
		return
	}
	if v.state, err = kernel.Restore(&o.Plan.Graph, saved); err != nil {
		return
	}
	v.stop = make(chan struct{})
	v.beats.Add(1)
	go v.beat(v.stop)
}

// beat gives signs of life.
func (v *View) beat(stop <-chan struct{}) {
	defer v.beats.Done()
	tick := time.NewTicker(v.opts.Quiet / 4)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-tick.C:
			if now.Sub(v.out.latest()) < v.opts.Quiet {
				continue
			}
			v.mu.Lock()
			text := alive(v.state, now, v.last)
			v.mu.Unlock()
			if text != "" {
				_, _ = io.WriteString(v.out, text)
			}
		}
	}
}

// Close implements view.View.
func (v *View) Close() {
	v.mu.Lock()
	if v.stop != nil {
		close(v.stop)
		v.stop = nil
	}
	v.mu.Unlock()
	v.beats.Wait()
}

// Event implements view.View.
func (v *View) Event(e kernel.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state != nil {
		if err := v.state.Evolve(e); err != nil {
			v.state = nil
		}
	}
	if v.service != nil {
		v.fold(kernel.EndOf(e.Fact))
		if f, ok := e.Fact.(kernel.CommandFailed); ok {
			v.failed(f.Failure)
		}
	}
	v.Human.Event(e)
}

func (v *View) failed(f kernel.Failure) {
	if f.Cancelled {
		return
	}
	p := Problem{Title: f.Summary, Text: f.Detail}
	p.File, p.Line, p.Column = position(f.Where)
	if p.File != "" {
		p.File = v.opts.Place(p.File)
	}
	var b bytes.Buffer
	v.service.Problem(&b, p)
	_, _ = v.out.Write(b.Bytes())
}

// Log implements view.View: lines are held back until they can be folded.
func (v *View) Log(c kernel.Command, l logs.Line) {
	if l.Level < 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last[c.Node] = l.Message
	if v.service == nil {
		v.Human.Log(c, l)
		return
	}
	h := v.held[c.ID]
	if h == nil {
		h = &held{command: c, since: l.Time}
		v.held[c.ID] = h
	}
	h.add(l.Message)
}

// fold writes the log of a command that is over.
func (v *View) fold(command int64) {
	h := v.held[command]
	if h == nil {
		return
	}
	delete(v.held, command)
	var b bytes.Buffer
	v.service.Fold(&b, h.title(), h.since, h.all(v.page.Run))
	_, _ = v.out.Write(b.Bytes())
}

// Diagnostics implements view.View.
func (v *View) Diagnostics(d hcl.Diagnostics, files map[string]*hcl.File) {
	v.Human.Diagnostics(d, files)
	if v.service != nil {
		Mark(v.out, v.service, d, v.opts.Place)
	}
}

// Mark writes diagnostics for the service to show in the files.
func Mark(w io.Writer, s Service, diags hcl.Diagnostics, place func(string) string) {
	var b bytes.Buffer
	for _, d := range diagnostics.Tidy(diags) {
		p := Problem{Warning: d.Severity == hcl.DiagWarning, Title: d.Summary, Text: d.Detail}
		if d.Subject != nil {
			p.File, p.Line, p.Column = place(d.Subject.Filename), d.Subject.Start.Line, d.Subject.Start.Column
		}
		s.Problem(&b, p)
	}
	_, _ = w.Write(b.Bytes())
}

// Summary implements view.View.
func (v *View) Summary(s view.Summary) {
	v.Close()
	v.mu.Lock()
	for id := range v.held {
		v.fold(id)
	}
	page := v.page
	v.mu.Unlock()
	v.Human.Summary(s)
	if v.service == nil {
		return
	}
	page.Summary = s
	if err := v.service.Summary(page); err != nil {
		v.Note(fmt.Sprintf("The summary could not be kept: %s.", err))
	}
}

// paced remembers when it was written to.
type paced struct {
	mu    sync.Mutex
	w     io.Writer
	wrote time.Time
}

func (p *paced) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrote = time.Now()
	return p.w.Write(b)
}

func (p *paced) latest() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wrote
}
