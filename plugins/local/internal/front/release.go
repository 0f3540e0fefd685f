package front

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/link"
	"github.com/runner-pipelines/runner/plugins/local/internal/measure"
)

// release carries the requests of one release to its replicas.
type release struct {
	id, version string
	counts      *measure.Release
	replicas    atomic.Pointer[[]string]
	turn        atomic.Uint32
	transport   *http.Transport
	proxy       *httputil.ReverseProxy

	// inside counts requests under way; with left set none is let in, and idle
	// is closed by the last.
	inside atomic.Int64
	left   atomic.Bool
	idle   chan struct{}
	once   sync.Once
}

func newRelease(route link.Route, log *slog.Logger) *release {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!route.H2C)
	protocols.SetUnencryptedHTTP2(route.H2C)
	r := &release{
		id: route.Release, version: route.Version,
		counts: measure.NewRelease(),
		idle:   make(chan struct{}),
		transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			Protocols:           protocols,
			DisableCompression:  true,
			MaxIdleConnsPerHost: 256,
			// Below what servers commonly keep a connection for, so that they do
			// not close it in the moment of its use.
			IdleConnTimeout: 3 * time.Second,
		},
	}
	r.proxy = &httputil.ReverseProxy{
		Transport:    r,
		BufferPool:   &copyBuffers,
		ErrorLog:     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler: noAnswer,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme = "http"
			p.Out.Host = p.In.Host
			p.SetXForwarded()
		},
	}
	r.update(route)
	return r
}

func (r *release) update(route link.Route) {
	replicas := append([]string(nil), route.Replicas...)
	r.replicas.Store(&replicas)
}

// enter lets a request in; it must leave then. It is false once the release
// has left the table.
func (r *release) enter() bool {
	r.inside.Add(1)
	if r.left.Load() {
		r.leave()
		return false
	}
	return true
}

func (r *release) leave() {
	if r.inside.Add(-1) == 0 && r.left.Load() {
		r.once.Do(func() { close(r.idle) })
	}
}

// close lets nobody in any more.
func (r *release) close() {
	r.left.Store(true)
	if r.inside.Load() == 0 {
		r.once.Do(func() { close(r.idle) })
	}
}

// serve answers one request that has entered, and counts it when asked to.
func (r *release) serve(w http.ResponseWriter, req *http.Request, counted bool) {
	defer r.leave()
	if !counted {
		r.proxy.ServeHTTP(w, req)
		return
	}
	r.counts.Begin()
	started := time.Now()
	seen := &watcher{ResponseWriter: w}
	whole := false
	defer func() {
		gone := seen.lost || req.Context().Err() != nil
		r.counts.End(measure.Result{
			Status:    seen.status,
			Abandoned: gone && (!whole || seen.status == statusGone),
			Broken:    !gone && !whole,
			Upgraded:  seen.status == http.StatusSwitchingProtocols,
			Took:      time.Since(started),
		})
	}()
	r.proxy.ServeHTTP(seen, req)
	whole = true // the proxy panics when an answer breaks off in the middle
}

// RoundTrip sends a request to the replica whose turn it is. When a replica
// cannot be reached the next one is asked: nothing was sent, so that is safe for
// every method as long as the body is untouched.
func (r *release) RoundTrip(req *http.Request) (*http.Response, error) {
	replicas := *r.replicas.Load()
	body := &keptBody{ReadCloser: req.Body}
	if req.Body == nil {
		body.ReadCloser = http.NoBody
	}
	err := errNoReplica
	sent := atomic.Bool{}
	// The transport itself asks a replica again that closed a connection it had
	// kept; what is sent once may be what kills replicas.
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	first := int(r.turn.Add(1))
	for i := range min(len(replicas), 4) {
		out := req.WithContext(ctx)
		u := *req.URL
		u.Host = replicas[(first+i)%len(replicas)]
		out.URL = &u
		if req.Body != nil {
			out.Body = body
		}
		var res *http.Response
		if res, err = r.transport.RoundTrip(out); err == nil {
			return res, nil
		}
		var dial *net.OpError
		if !errors.As(err, &dial) || dial.Op != "dial" || sent.Load() || body.read.Load() || req.Context().Err() != nil {
			break
		}
	}
	return nil, err
}

var errNoReplica = errors.New("no replica of the release is ready")

// keptBody is not closed when an attempt fails before it was read; the server
// closes the real one in the end.
type keptBody struct {
	io.ReadCloser
	read atomic.Bool
}

func (b *keptBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.ReadCloser.Read(p)
}

func (b *keptBody) Close() error { return nil }

// statusGone stands for a client that went away; nobody ever sees it.
const statusGone = 499

func noAnswer(w http.ResponseWriter, req *http.Request, err error) {
	switch {
	case errors.Is(err, context.Canceled) || req.Context().Err() != nil:
		w.WriteHeader(statusGone)
	case errors.Is(err, errNoReplica):
		http.Error(w, "No replica of this release is ready.", http.StatusServiceUnavailable)
	default:
		http.Error(w, "The release did not answer.", http.StatusBadGateway)
	}
}

// watcher sees the status that an answer was given, and whether the client was
// still there to take it.
type watcher struct {
	http.ResponseWriter
	status int
	lost   bool
}

func (w *watcher) WriteHeader(status int) {
	// Those below 200 come before the real one, but for the switch of protocols.
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watcher) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.lost = w.lost || err != nil
	return n, err
}

// Unwrap lets the server's own abilities through: flushing, hijacking.
func (w *watcher) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// copyBuffers spares an allocation per answer.
var copyBuffers bufferPool

type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }
