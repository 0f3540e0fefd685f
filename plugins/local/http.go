package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/output"
	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/value"
)

const (
	// maxBody is how much of an answer is read.
	maxBody = 1 << 20
	// maxBodyOutput is how much of it is an output.
	maxBodyOutput = 16 << 10
)

// HTTP is the body of a stage or verification that uses "local_http".
type HTTP struct {
	URL             string            `hcl:"url" doc:"address to ask, http or https"`
	Method          string            `hcl:"method,optional" doc:"request method"`
	Headers         map[string]string `hcl:"headers,optional" doc:"request headers"`
	Body            string            `hcl:"body,optional" doc:"request body"`
	FollowRedirects bool              `hcl:"follow_redirects,optional" doc:"whether the answer to a redirect is the one that counts"`
	Timeout         time.Duration     `hcl:"timeout,optional" doc:"limit for one request, its body included"`
	Interval        time.Duration     `hcl:"interval,optional" doc:"pause between two requests"`
	Deadline        time.Duration     `hcl:"deadline,optional" doc:"how long to go on asking until the answer is as expected; 0 asks once"`
	Successes       int64             `hcl:"successes,optional" doc:"how many answers in a row must be as expected"`
	Expect          *Expect           `hcl:"expect,block" doc:"what the answer must be like; without the block, a status of 200"`
}

// Expect is what an answer must be like.
type Expect struct {
	Status       []int64           `hcl:"status,optional" unique:"true" doc:"status codes, any of them"`
	BodyContains string            `hcl:"body_contains,optional" doc:"text that the body must hold"`
	BodyMatches  string            `hcl:"body_matches,optional" doc:"regular expression (RE2) that must match in the body"`
	Headers      map[string]string `hcl:"headers,optional" doc:"headers that the answer must have, with these values"`
	MaxLatency   time.Duration     `hcl:"max_latency,optional" doc:"longest time until the whole answer is there; 0 for no limit"`
}

// SetDefaults is called before the block is decoded.
func (e *Expect) SetDefaults() { e.Status = []int64{http.StatusOK} }

// NewHTTP has the defaults set.
func NewHTTP() *HTTP {
	return &HTTP{Method: http.MethodGet, Timeout: 5 * time.Second, Interval: 500 * time.Millisecond, Deadline: 10 * time.Second, Successes: 1}
}

// HTTPOutputs is the last answer.
type HTTPOutputs struct {
	Status    int64  `hcl:"status" doc:"status code"`
	LatencyMS int64  `hcl:"latency_ms" doc:"time until the whole answer was there, in milliseconds"`
	Body      string `hcl:"body" doc:"the first 16 KiB of the body"`
}

// Doc is the reference documentation.
func (h *HTTP) Doc() string {
	return "Asks an HTTP address until the answer is as expected, or the deadline has passed. It is made for verify blocks. Requests are repeated, so use it only for what may be asked more than once."
}

// Outputs is the shape of the outputs.
func (h *HTTP) Outputs() any { return HTTPOutputs{} }

// Convergent: asking again is what it does anyway.
func (h *HTTP) Convergent() {}

// Validate checks what can be known before anything is asked.
func (h *HTTP) Validate() error {
	var errs []error
	bad := func(path value.Path, summary, format string, args ...any) {
		errs = append(errs, diag.AtPath(path, summary, fmt.Errorf(format, args...)))
	}
	if u, err := url.Parse(h.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		bad(value.Names("url"), "Invalid URL", "the URL must be like http://host:port/path")
	}
	if _, err := http.NewRequest(h.Method, "http://localhost/", nil); err != nil || h.Method == "" {
		bad(value.Names("method"), "Invalid request method", "%q is not a request method such as GET", h.Method)
	}
	for _, limit := range []struct {
		name string
		d    time.Duration
		zero bool
	}{{"timeout", h.Timeout, false}, {"interval", h.Interval, true}, {"deadline", h.Deadline, true}} {
		if limit.d < 0 || limit.d == 0 && !limit.zero {
			bad(value.Names(limit.name), "Invalid duration", "the %s must be greater than zero", limit.name)
		}
	}
	if h.Successes < 1 {
		bad(value.Names("successes"), "Invalid number", "at least one answer must be as expected")
	} else if pauses := float64(h.Successes-1) * float64(h.Interval); h.Deadline >= 0 && pauses > float64(h.Deadline) {
		bad(value.Names("successes"), "Deadline too short", "%d answers at an interval of %v do not fit into the deadline of %v", h.Successes, h.Interval, h.Deadline)
	}
	if e := h.Expect; e != nil {
		if len(e.Status) == 0 {
			bad(value.Names("expect", "status"), "No status code", "the list must hold at least one status code")
		}
		for i, s := range e.Status {
			if s < 100 || s > 599 {
				bad(value.Names("expect", "status").With(value.Index(i)), "Invalid status code", "%d is not from 100 to 599", s)
			}
		}
		if _, err := regexp.Compile(e.BodyMatches); err != nil {
			bad(value.Names("expect", "body_matches"), "Invalid regular expression", "%w", err)
		}
		if e.MaxLatency < 0 {
			bad(value.Names("expect", "max_latency"), "Invalid duration", "the limit cannot be negative")
		}
	}
	return errors.Join(errs...)
}

// answer is one try: what came, or why nothing did.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	latency time.Duration
	err     error
}

// Run asks until it is content.
func (h *HTTP) Run(ctx context.Context, req *action.Request) (action.Result, error) {
	expect := h.Expect
	if expect == nil {
		expect = &Expect{}
		expect.SetDefaults()
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		// Each try shows whether a client that comes anew gets through.
		DisableKeepAlives: true,
	}}
	if !h.FollowRedirects {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	started := time.Now()
	row := int64(0)
	for tries := 1; ; tries++ {
		got := h.ask(ctx, client)
		wrong := expect.wrong(got)
		if wrong == "" {
			if row++; row >= h.Successes {
				body := got.body[:min(len(got.body), maxBodyOutput)]
				return action.Result{Outputs: HTTPOutputs{
					Status: int64(got.status), LatencyMS: got.latency.Milliseconds(), Body: strings.ToValidUTF8(string(body), "\uFFFD"),
				}}, nil
			}
		} else {
			row = 0
			req.Log.Debug("not as expected", "try", tries, "why", wrong)
		}
		if time.Since(started)+h.Interval > h.Deadline && ctx.Err() == nil {
			return action.Result{}, h.failure(got, wrong, tries, row, time.Since(started))
		}
		select {
		case <-ctx.Done():
			return action.Result{}, diag.WithEffect(diag.None, diag.New("Check cancelled", "after %s: %w", tried(tries), context.Cause(ctx)))
		case <-time.After(h.Interval):
		}
	}
}

func (h *HTTP) ask(ctx context.Context, client *http.Client) (a answer) {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, h.Method, h.URL, strings.NewReader(h.Body))
	if err != nil {
		return answer{err: err}
	}
	for name, val := range h.Headers {
		if strings.EqualFold(name, "Host") {
			req.Host = val
		}
		req.Header.Set(name, val)
	}
	started := time.Now()
	res, err := client.Do(req)
	if err != nil {
		if ctx.Err() == context.DeadlineExceeded {
			err = fmt.Errorf("no answer within %v", h.Timeout)
		}
		// The outer error repeats the URL, which may hold what must not be shown.
		if outer := (*url.Error)(nil); errors.As(err, &outer) {
			err = outer.Err
		}
		return answer{err: err, latency: time.Since(started)}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	return answer{status: res.StatusCode, header: res.Header, body: body, latency: time.Since(started), err: err}
}

// wrong says in what the answer is not as expected; empty when it is.
func (e *Expect) wrong(a answer) string {
	if a.err != nil {
		return fmt.Sprintf("the request failed: %v", a.err)
	}
	if !slices.Contains(e.Status, int64(a.status)) {
		return fmt.Sprintf("expected status %s, got %d", anyOf(e.Status), a.status)
	}
	if !strings.Contains(string(a.body), e.BodyContains) {
		return fmt.Sprintf("expected a body with %q", e.BodyContains)
	}
	if e.BodyMatches != "" {
		if re, err := regexp.Compile(e.BodyMatches); err != nil || !re.Match(a.body) {
			return fmt.Sprintf("expected a body that matches %q", e.BodyMatches)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		if got := a.header.Values(name); !slices.Contains(got, e.Headers[name]) {
			if len(got) == 0 {
				return fmt.Sprintf("expected header %s: %s, which the answer does not have", name, e.Headers[name])
			}
			return fmt.Sprintf("expected header %s: %s, got %s", name, e.Headers[name], strings.Join(got, ", "))
		}
	}
	if e.MaxLatency > 0 && a.latency > e.MaxLatency {
		return fmt.Sprintf("expected an answer within %v, it took %v", e.MaxLatency, a.latency.Round(time.Millisecond))
	}
	return ""
}

func (h *HTTP) failure(a answer, wrong string, tries int, row int64, took time.Duration) error {
	if wrong == "" {
		wrong = fmt.Sprintf("only %d of %d answers in a row were as expected", row, h.Successes)
	}
	detail := fmt.Sprintf("%s %s: %s (%s in %v).", h.Method, shownURL(h.URL), wrong, tried(tries), took.Round(time.Millisecond))
	if a.err == nil && len(a.body) > 0 {
		body := strings.ToValidUTF8(string(a.body[:min(len(a.body), 1000)]), "\uFFFD")
		detail += " The last answer was:\n    " + strings.Join(output.LastLines(body, 8), "\n    ")
	}
	return diag.WithEffect(diag.None, diag.New("Answer not as expected", "%s", detail))
}

// shownURL leaves out what may be secret: user information and query.
func shownURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	u.User = nil
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String()
}

func tried(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

func anyOf(codes []int64) string {
	parts := make([]string, len(codes))
	for i, c := range codes {
		parts[i] = fmt.Sprint(c)
	}
	return strings.Join(parts, " or ")
}
