//go:build unix

package keeper

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/service"
)

func TestTrimLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	writer, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.Write(bytes.Repeat([]byte("0123456789"), 10)); err != nil {
		t.Fatal(err)
	}
	if err := trimLog(path, 100, 15); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); len(b) != 100 {
		t.Errorf("a log at its limit was cut to %d bytes", len(b))
	}
	fmt.Fprint(writer, "x")
	if err := trimLog(path, 100, 15); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(writer, "after")
	if b, _ := os.ReadFile(path); string(b) != "after" {
		t.Errorf("the log holds %q", b)
	}
	if b, _ := os.ReadFile(path + ".old"); string(b) != "6789"+"0123456789"+"x" {
		t.Errorf("the end of the log was kept as %q", b)
	}
	if err := trimLog(filepath.Join(t.TempDir(), "none"), 1, 1); err != nil {
		t.Errorf("a log that is not there: %v", err)
	}
}

func TestPruneLogs(t *testing.T) {
	dir := service.At(t.TempDir(), "shop")
	if err := dir.Create(); err != nil {
		t.Fatal(err)
	}
	k := &Keeper{dir: dir, log: slog.New(slog.NewTextHandler(io.Discard, nil)), state: &service.State{
		Releases: []*service.Release{{ID: "v0", Replicas: []*service.Replica{{}}}},
	}}
	for i := range maxLogs + 5 {
		path := dir.ReplicaLog(fmt.Sprintf("v%d", i), 0)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	k.pruneLogs()
	left := k.replicaLogs()
	if len(left) != maxLogs+1 {
		t.Errorf("%d logs are left, want %d and the one in use", len(left), maxLogs)
	}
	for i, want := range map[int]bool{0: true, 1: false, 4: false, 5: true, maxLogs + 4: true} {
		if _, err := os.Stat(dir.ReplicaLog(fmt.Sprintf("v%d", i), 0)); (err == nil) != want {
			t.Errorf("log of v%d: %v", i, err)
		}
	}
}
