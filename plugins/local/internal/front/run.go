//go:build unix

package front

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/link"
	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
)

// KeeperCommand are the arguments, before the folder, that make this program a
// keeper which takes over a front by the link on descriptor 3.
var KeeperCommand = []string{"proxy", "-adopt", "-state"}

// Run is the whole life of a front's process. Its link is the file.
func Run(dir service.Dir, inherited *os.File, log *slog.Logger) error {
	signal.Ignore(syscall.SIGHUP)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)

	keeper, err := link.FromFile(inherited)
	if err != nil {
		return err
	}
	f := New(log)
	for pause := 10 * time.Millisecond; ; {
		began := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- f.Serve(keeper) }()
		select {
		case <-asked:
			// The keeper starts another front as soon as it sees the end of the link.
			keeper.Close()
			f.finish()
			return nil
		case err = <-ended:
		}
		keeper.Close()
		if err == nil || !errors.Is(err, io.EOF) || !orphaned(dir) {
			f.finish()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
		log.Warn("keeper is gone, starting another")
		if time.Since(began) > 10*time.Second {
			pause = 10 * time.Millisecond
		}
		for {
			if keeper, err = startKeeper(dir); err == nil {
				break
			}
			log.Error("keeper not started", "err", err)
			time.Sleep(time.Second)
		}
		select {
		case <-asked:
			f.finish()
			return nil
		case <-time.After(pause):
			pause = min(2*pause, time.Second)
		}
	}
}

// orphaned reports whether this front has lost its keeper, rather than the
// service its folder or the keeper its patience with this front.
func orphaned(dir service.Dir) bool {
	for {
		state, err := dir.Load()
		if err != nil || state.Front != proc.Me() {
			return false
		}
		if !state.Keeper.Alive() {
			return true
		}
		// It is just ending, or about to write down another front.
		time.Sleep(5 * time.Millisecond)
	}
}

func (f *Front) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), QuitGrace)
	defer cancel()
	f.Shutdown(ctx)
}

func startKeeper(dir service.Dir) (*link.Conn, error) {
	conn, theirs, err := link.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := proc.Self(append(KeeperCommand, string(dir))...)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	if err := proc.StartDetached(cmd); err != nil {
		conn.Close()
		return nil, err
	}
	go func() { _ = cmd.Wait() }()
	return conn, nil
}
