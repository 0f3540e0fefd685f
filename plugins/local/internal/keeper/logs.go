//go:build unix

package keeper

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// maxLog is the length at which a log is cut; keptLog of it is kept.
	maxLog  = 16 << 20
	keptLog = 1 << 20
	// maxLogs is how many logs of releases that are gone are kept.
	maxLogs = 20
)

// trimLogs keeps logs from growing without end. Their writers hold them open and
// append, so that a log is cut in place.
func (k *Keeper) trimLogs(stop <-chan struct{}) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for _, path := range append(k.replicaLogs(), k.dir.Log()) {
			if err := trimLog(path, maxLog, keptLog); err != nil {
				k.log.Warn("log not cut", "path", path, "err", err)
			}
		}
	}
}

// replicaLogs are the logs of all releases, past ones too.
func (k *Keeper) replicaLogs() []string {
	entries, err := os.ReadDir(k.dir.Logs())
	if err != nil {
		return nil
	}
	var paths []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".log") {
			paths = append(paths, filepath.Join(k.dir.Logs(), e.Name()))
		}
	}
	return paths
}

// trimLog empties a file that is longer than limit, after putting its last
// bytes into a file beside it.
func trimLog(path string, limit, kept int64) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() <= limit {
		return nil
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path+".old", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, io.NewSectionReader(in, info.Size()-kept, kept)); err != nil {
		return err
	}
	return os.Truncate(path, 0)
}

// pruneLogs removes the oldest logs of releases that are gone. It is called
// under the lock.
func (k *Keeper) pruneLogs() {
	inUse := map[string]bool{}
	for _, rel := range k.state.Releases {
		for i := range rel.Replicas {
			inUse[k.dir.ReplicaLog(rel.ID, i)] = true
		}
	}
	logs := slices.DeleteFunc(k.replicaLogs(), func(path string) bool { return inUse[path] })
	age := func(path string) time.Time {
		info, err := os.Stat(path)
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(logs, func(a, b string) int { return age(b).Compare(age(a)) })
	for _, path := range logs[min(maxLogs, len(logs)):] {
		os.Remove(path)
		os.Remove(path + ".old")
	}
}
