package pluginhost

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost/discover"
)

// Fifty processes of one program that start at once read it once: hashing it is
// a good part of what a start costs.
func TestAProgramIsReadOnceForManyProcesses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "runner-plugin-one")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var reads atomic.Int32
	prog, err := discover.ReadProgram(path, discover.Platform())
	if err != nil {
		t.Skipf("a script is no program here: %v", err)
	}
	const processes = 50
	var entered sync.WaitGroup
	entered.Add(processes)
	ps := programs{
		lock:   &lockfile.File{Plugins: []*lockfile.Plugin{{Source: "test/one", Version: "1.0.0", Hashes: []string{discover.Platform() + ":" + prog.Hash}}}},
		places: discover.Places{Settings: &discover.Settings{}, PluginDir: dir, Platform: discover.Platform()}, log: slog.New(slog.DiscardHandler),
		read: func(path, platform string) (discover.Program, error) {
			entered.Wait()
			reads.Add(1)
			return discover.ReadProgram(path, platform)
		},
	}
	var all sync.WaitGroup
	for range processes {
		all.Go(func() {
			entered.Done()
			if p, err := ps.find("test/one"); err != nil || p.Hash != prog.Hash {
				t.Errorf("found %v, error %v", p, err)
			}
		})
	}
	all.Wait()
	if n := reads.Load(); n != 1 {
		t.Errorf("it was read %d times", n)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := ps.find("test/one"); err == nil {
		t.Error("a program that was changed was found")
	}
}
