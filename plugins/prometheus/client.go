package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/runner-pipelines/runner/sdk/diag"
)

// maxAnswer is how many bytes of one answer are read.
const maxAnswer = 64 << 20

// servers are those that this process asks, each with its connections.
type servers struct {
	mu     sync.Mutex
	config *Config
	byURL  map[string]*server
}

func (s *servers) use(c *Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config, s.byURL = c, map[string]*server{}
}

// at is the server of an address; "" is that of the plugin block.
func (s *servers) at(address string) (*server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config == nil {
		s.config, s.byURL = newConfig(s), map[string]*server{}
	}
	if address == "" {
		address = s.config.Address
	}
	if address == "" {
		return nil, diag.AtAttr("address", "No address", errors.New("neither the metric nor the block plugin \"prometheus\" says where the server is; set address in one of them"))
	}
	if known := s.byURL[address]; known != nil {
		return known, nil
	}
	made, err := newServer(address, s.config)
	if err != nil {
		return nil, diag.AtAttr("address", "Invalid address", err)
	}
	s.byURL[address] = made
	return made, nil
}

// server answers queries.
type server struct {
	api     v1.API
	address string
	timeout time.Duration
}

func newServer(address string, c *Config) (*server, error) {
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: c.Timeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    c.Timeout,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        30 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if c.CA != "" {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(c.CA))
		transport.TLSClientConfig.RootCAs = pool
	}
	client, err := api.NewClient(api.Config{Address: address, Client: &http.Client{
		Transport: &roundTripper{next: transport, config: c},
		// The credentials are for this server alone.
		CheckRedirect: func(req *http.Request, _ []*http.Request) error { return &redirected{to: req.URL.Redacted()} },
	}})
	if err != nil {
		return nil, err
	}
	return &server{api: v1.NewAPI(client), address: address, timeout: c.Timeout}, nil
}

// instant evaluates a query at one moment.
func (s *server) instant(ctx context.Context, query string, at time.Time) (model.Value, error) {
	return ask(ctx, s, func(ctx context.Context) (model.Value, error) {
		v, _, _, err := s.api.Query(ctx, query, at)
		return v, err
	})
}

// matrix evaluates a query whose answer is a list of series.
func (s *server) matrix(ctx context.Context, query string, at time.Time) (model.Matrix, error) {
	v, err := s.instant(ctx, query, at)
	if err != nil {
		return nil, err
	}
	m, ok := v.(model.Matrix)
	if !ok {
		return nil, s.strange(fmt.Errorf("a range was asked for, and a %s came", v.Type()))
	}
	return m, nil
}

// over evaluates a query at all steps of a range.
func (s *server) over(ctx context.Context, query string, r v1.Range) (model.Matrix, error) {
	return ask(ctx, s, func(ctx context.Context) (model.Matrix, error) {
		v, _, _, err := s.api.QueryRange(ctx, query, r)
		if err != nil {
			return nil, err
		}
		m, ok := v.(model.Matrix)
		if !ok {
			return nil, s.strange(fmt.Errorf("a matrix was asked for, and a %s came", v.Type()))
		}
		return m, nil
	})
}

func (s *server) version(ctx context.Context) (string, error) {
	return ask(ctx, s, func(ctx context.Context) (string, error) {
		info, err := s.api.Buildinfo(ctx)
		return info.Version, err
	})
}

func ask[T any](ctx context.Context, s *server, f func(context.Context) (T, error)) (T, error) {
	limited, cancel := context.WithTimeoutCause(ctx, s.timeout, errTimeout)
	defer cancel()
	v, err := f(limited)
	if err == nil || ctx.Err() == nil {
		if err != nil && errors.Is(context.Cause(limited), errTimeout) {
			err = errTimeout
		}
		return v, s.explain(err)
	}
	return v, ctx.Err()
}

var errTimeout = errors.New("no answer in time")

// errRejected is wrapped by what the server says of the query itself.
var errRejected = errors.New("query rejected")

// explain says what a failure means and whether another try can help.
func (s *server) explain(err error) error {
	if err == nil {
		return nil
	}
	var problem *diag.Problem
	if errors.As(err, &problem) {
		return err
	}
	var status *statusError
	var to *redirected
	var told *v1.Error
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errTimeout):
		return diag.Retryable(diag.New("Prometheus is slow", "%s did not answer within %s. Select less, or raise timeout in the block plugin \"prometheus\".", s.address, s.timeout))
	case errors.Is(err, errTooLarge):
		return diag.WithEffect(diag.None, diag.New("Answer too large", "The answer of %s has more than %d MiB. Select fewer series, for example those of one release only.", s.address, maxAnswer>>20))
	case errors.As(err, &untrusted):
		return diag.WithEffect(diag.None, diag.New("Server not trusted", "The certificate of %s is not accepted: %w. If it is signed by an authority of your own, set ca in the block plugin \"prometheus\".", s.address, untrusted.Err))
	case errors.As(err, &to):
		return diag.WithEffect(diag.None, diag.New("Wrong address", "%s sends elsewhere: %s. Credentials are not sent on; write the right address, or log in.", s.address, to.to))
	case errors.As(err, &status):
		return s.explainStatus(status)
	case errors.As(err, &told):
		return s.explainTold(told)
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return diag.Retryable(diag.New("Prometheus not reachable", "%s does not answer: %w", s.address, root(err)))
	}
	return s.strange(err)
}

// root leaves out which request it was: the address is told, and queries are long.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		var op *net.OpError
		if errors.As(err, &op) && errors.Is(op, err) {
			return err
		}
		err = inner
	}
}

func (s *server) explainStatus(e *statusError) error {
	const summary = "Prometheus refuses"
	switch {
	case e.code == http.StatusUnauthorized || e.code == http.StatusForbidden:
		return diag.WithEffect(diag.None, diag.New("Access denied", "%s says %s. Check bearer_token, basic_auth and headers in the block plugin \"prometheus\".", s.address, e))
	case e.code == http.StatusTooManyRequests && e.after > 0:
		return diag.RetryAfter(e.after, diag.New(summary, "%s says %s.", s.address, e))
	case e.code >= 500, e.code == http.StatusTooManyRequests, e.code == http.StatusRequestTimeout:
		return diag.Retryable(diag.New(summary, "%s says %s.", s.address, e))
	case e.code == http.StatusNotFound:
		return diag.WithEffect(diag.None, diag.New("Wrong address", "%s says %s. The address is that of the server, without /api/v1; is there a Prometheus?", s.address, e))
	}
	return diag.WithEffect(diag.None, diag.New(summary, "%s says %s.", s.address, e))
}

func (s *server) explainTold(e *v1.Error) error {
	switch e.Type {
	case v1.ErrTimeout, v1.ErrCanceled:
		return diag.Retryable(diag.New("Prometheus is slow", "%s gave the query up: %s", s.address, e.Msg))
	case v1.ErrBadData, v1.ErrExec:
		return fmt.Errorf("%w: %s", errRejected, e.Msg)
	case v1.ErrBadResponse:
		return s.strange(errors.New(e.Msg))
	case v1.ErrClient:
		return diag.WithEffect(diag.None, diag.New("Prometheus refuses", "%s says: %s: %.500q", s.address, e.Msg, e.Detail))
	}
	return diag.Retryable(diag.New("Prometheus fails", "%s says: %s", s.address, e.Msg))
}

// strange is about an answer that no Prometheus gives, such as the page of a login.
func (s *server) strange(err error) error {
	return diag.WithEffect(diag.None, diag.New("Unreadable answer", "What %s answers is not what a Prometheus says: %w. Is the address right, and is there a login in front?", s.address, err))
}

// roundTripper logs in, bounds what is read, and keeps apart what the client
// library would mix up.
type roundTripper struct {
	next   http.RoundTripper
	config *Config
}

func (t *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	for name, v := range t.config.Headers {
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = v
			continue
		}
		req.Header.Set(name, v)
	}
	switch a := t.config.BasicAuth; {
	case a != nil:
		req.SetBasicAuth(a.Username, a.Password)
	case t.config.BearerToken != "":
		req.Header.Set("Authorization", "Bearer "+t.config.BearerToken)
	}
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch res.StatusCode {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		// What is wrong with the query, in JSON.
	case http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		if req.Method == http.MethodGet {
			return nil, newStatusError(res)
		}
		// The library asks again by GET.
	default:
		if res.StatusCode >= 400 {
			return nil, newStatusError(res)
		}
	}
	res.Body = &bounded{ReadCloser: res.Body, left: maxAnswer}
	return res, nil
}

// bounded is a body of which no more than left bytes are read.
type bounded struct {
	io.ReadCloser
	left int64
}

var errTooLarge = errors.New("the answer is too large")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// statusError is an answer that is none.
type statusError struct {
	code  int
	text  string
	after time.Duration
}

func newStatusError(res *http.Response) *statusError {
	e := &statusError{code: res.StatusCode}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 512))
	_ = res.Body.Close()
	if !strings.Contains(res.Header.Get("Content-Type"), "html") {
		e.text = strings.Join(strings.Fields(strings.ToValidUTF8(string(body), "")), " ")
	}
	if seconds, err := time.ParseDuration(res.Header.Get("Retry-After") + "s"); err == nil && seconds > 0 && seconds <= time.Hour {
		e.after = seconds
	}
	return e
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%d %s", e.code, http.StatusText(e.code))
	if e.text != "" {
		text += ": " + e.text
	}
	return text
}

// redirected is an answer that sends elsewhere.
type redirected struct{ to string }

func (r *redirected) Error() string { return "redirected to " + r.to }
