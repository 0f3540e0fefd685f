//go:build unix

package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/service"
)

// waitReady returns nil when the process answers its health check as it
// should, and why it does not when it has ended or the deadline has passed.
func waitReady(ctx context.Context, p *process, port int, spec service.Spec) error {
	ctx, cancel := context.WithTimeout(ctx, spec.Health.Deadline)
	defer cancel()
	go func() {
		select {
		case <-p.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!spec.H2C)
	protocols.SetUnencryptedHTTP2(spec.H2C)
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Protocols: protocols},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	where := "http://" + net.JoinHostPort(loopback, strconv.Itoa(port)) + spec.Health.Path
	last := errors.New("it was not asked")
	// The first checks come fast: most programs are up in a moment.
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, spec.Health.Interval) {
		err := check(ctx, client, where, spec.Health)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the program ended before it was ready: %s.%s", p.how, p.printed())
		default:
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-p.ended:
		case <-ctx.Done():
			return fmt.Errorf("the program was not ready within %v: GET %s: %v.%s", spec.Health.Deadline, spec.Health.Path, last, p.printed())
		case <-time.After(pause):
		}
	}
}

func check(ctx context.Context, client *http.Client, where string, h service.Health) error {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		err = outer.Err
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	if !slices.Contains(h.Status, int64(res.StatusCode)) {
		return fmt.Errorf("status %d, expected %d", res.StatusCode, h.Status)
	}
	return nil
}
