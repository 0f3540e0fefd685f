package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/output"
	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
	"github.com/runner-pipelines/runner/sdk/target"
)

const (
	// startLimit is how long a keeper may take to begin to answer.
	startLimit = 20 * time.Second
	// healTime is how long a front is given to start a new keeper itself.
	healTime = 2 * time.Second
)

// ExitHeld is the exit code of a keeper that finds its service held by another
// process.
const ExitHeld = 75

// ErrUnsupported means that services cannot be kept on this system.
var ErrUnsupported = errors.New("services need a Unix system: sockets are handed from process to process")

// Client speaks to the keeper of one service.
type Client struct {
	dir service.Dir
}

// NewClient makes a client for the service in the folder, which need not exist.
func NewClient(dir service.Dir) *Client { return &Client{dir: dir} }

// Install installs a release and returns it when it is ready. progress may be nil.
func (c *Client) Install(ctx context.Context, req InstallRequest, progress func(percent int, message string)) (target.Release, error) {
	last, err := c.ask(ctx, PathInstall, req, progress)
	if err != nil {
		return target.Release{}, err
	}
	if last.Release == nil {
		return target.Release{}, service.Refuse(service.Internal, "the keeper of service %s gave no release back", c.dir.Name())
	}
	return *last.Release, nil
}

// SetWeight gives a release its share.
func (c *Client) SetWeight(ctx context.Context, req WeightRequest) error {
	_, err := c.ask(ctx, PathWeight, req, nil)
	return err
}

// Settle makes a release the stable one.
func (c *Client) Settle(ctx context.Context, release string) error {
	_, err := c.ask(ctx, PathSettle, ReleaseRequest{release}, nil)
	return err
}

// Retire drains and removes a release.
func (c *Client) Retire(ctx context.Context, release string, progress func(percent int, message string)) error {
	_, err := c.ask(ctx, PathRetire, ReleaseRequest{release}, progress)
	return err
}

// Stop ends the service, with or without a keeper, and removes its folder.
func (c *Client) Stop(ctx context.Context) error {
	state, err := c.dir.Load()
	if err != nil {
		return err
	}
	if state.Keeper.Alive() {
		if _, err := c.once(ctx, state, PathStop, struct{}{}, nil); err == nil {
			state.Keeper.WaitGone(5 * time.Second)
			return nil
		}
	}
	return c.sweep(ctx)
}

// sweep stops by force what a dead or deaf keeper left behind.
func (c *Client) sweep(ctx context.Context) error {
	state, err := c.dir.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// The keeper first: it would start the others again. Then the front, which
	// would start a keeper.
	proc.Stop(state.Keeper, 0)
	proc.Stop(state.Front, 0)
	lock, err := c.dir.Lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	if state, err = c.dir.Load(); err != nil {
		return err
	}
	proc.Stop(state.Front, 0)
	for _, r := range state.Releases {
		for _, replica := range r.Replicas {
			proc.Stop(replica.Process(), r.Spec.Grace)
		}
	}
	return c.dir.Remove()
}

// errLost means that the connection to the keeper broke before its answer.
var errLost = errors.New("the keeper of the service did not answer")

func (c *Client) ask(ctx context.Context, path string, req any, progress func(int, string)) (Event, error) {
	for try := 1; ; try++ {
		state, err := c.keeper(ctx)
		if err != nil {
			return Event{}, err
		}
		last, err := c.once(ctx, state, path, req, progress)
		if !errors.Is(err, errLost) || try == 10 || ctx.Err() != nil {
			return last, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		}
	}
}

func (c *Client) once(ctx context.Context, state *service.State, path string, req any, progress func(int, string)) (Event, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return Event{}, err
	}
	url := fmt.Sprintf("http://127.0.0.1:%d%s", state.ControlPort, path)
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return Event{}, err
	}
	post.Header.Set("Authorization", "Bearer "+state.Token)
	res, err := (&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
	}}).Do(post)
	if err != nil {
		return Event{}, lost(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return Event{}, fmt.Errorf("%w: %s: %s", errLost, res.Status, strings.TrimSpace(string(text)))
	}
	for lines := json.NewDecoder(bufio.NewReader(res.Body)); ; {
		var e Event
		if err := lines.Decode(&e); err != nil {
			return Event{}, lost(ctx, err)
		}
		switch {
		case e.Refusal != nil:
			return e, e.Refusal
		case e.Done:
			return e, nil
		case progress != nil:
			progress(e.Percent, e.Progress)
		}
	}
}

func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// keeper finds the keeper, or starts one.
func (c *Client) keeper(ctx context.Context) (*service.State, error) {
	if !Supported {
		return nil, ErrUnsupported
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	heal := time.Now().Add(healTime)
	var ended <-chan error
	for {
		state, err := c.dir.Load()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if state != nil && state.ControlPort != 0 && state.Keeper.Alive() {
			return state, nil
		}
		healing := state != nil && state.Front.Alive() && time.Now().Before(heal)
		if ended == nil && !healing {
			// Without a folder, somebody is just removing the service.
			if ended, err = c.start(); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("the keeper of service %s cannot be started: %w", c.dir.Name(), err)
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the keeper of service %s does not come up: %w%s", c.dir.Name(), context.Cause(ctx), c.logTail())
		case err := <-ended:
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == ExitHeld {
				// Another process holds the service: a keeper that comes up, or a
				// stop that ends soon.
				ended = nil
				continue
			}
			return nil, fmt.Errorf("the keeper of service %s ended at once: %w%s", c.dir.Name(), err, c.logTail())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// start starts a keeper, for a service that may be new; its end comes through the
// channel.
func (c *Client) start() (<-chan error, error) {
	if err := c.dir.Create(); err != nil {
		return nil, err
	}
	return c.launch()
}

// launch starts a keeper for a service that has a folder.
func (c *Client) launch() (<-chan error, error) {
	log, err := os.OpenFile(c.dir.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := proc.Self("proxy", "-state", string(c.dir))
	cmd.Stderr = log
	cmd.Dir = "/"
	cmd.Env = keeperEnv()
	if err := proc.StartDetached(cmd); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("exit status 0")
		}
		ended <- err
	}()
	return ended, nil
}

// keeperEnv is little: what a release may see is in its own record, and the rest
// of our environment, secrets among it, must not live on in a process that
// outlives the run.
func keeperEnv() []string {
	env := []string{}
	for _, name := range []string{"HOME", "PATH", "TMPDIR", "TZ", "GOCOVERDIR", "GORACE"} {
		if val, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+val)
		}
	}
	return env
}

func (c *Client) logTail() string {
	f, err := os.Open(c.dir.Log())
	if err != nil {
		return ""
	}
	defer f.Close()
	tail := &output.Tail{Limit: 4 << 10}
	if _, err := io.Copy(tail, f); err != nil {
		return ""
	}
	lines := output.LastLines(tail.String(), 3)
	if len(lines) == 0 {
		return ""
	}
	return "; its log ends with:\n    " + strings.Join(lines, "\n    ")
}
