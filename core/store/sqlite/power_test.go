package sqlite_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/store/sqlite"
)

const (
	walHeader   = 32
	frameHeader = 24
	powerRun    = "20261123-003405-abcd"
)

// disk is what lies on the disk of a machine whose power fails.
type disk struct{ db, wal []byte }

// diskOf is what the files have at this moment.
func diskOf(t *testing.T, path string) (d disk) {
	t.Helper()
	var err error
	if d.db, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if d.wal, err = os.ReadFile(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	return d
}

// written is a journal that was written segment by segment, and the size that the
// write-ahead log had when each was acknowledged.
type written struct {
	disk
	acknowledged []int
	pageSize     int
}

func (w written) frame() int { return frameHeader + w.pageSize }

// segments writes a journal, with records from small to larger than a page.
func segments(t *testing.T, path string, n int) written {
	t.Helper()
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	var w written
	if w.db, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	j := journal.At(st, powerRun, journal.Head{})
	for i := range n {
		if err := j.Append(t.Context(), time.Now(), []json.RawMessage{record(i)}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		w.acknowledged = append(w.acknowledged, int(info.Size()))
	}
	if w.wal, err = os.ReadFile(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, w.db) {
		t.Fatalf("the log was brought into the file meanwhile, error %v", err)
	}
	w.pageSize = int(binary.BigEndian.Uint32(w.wal[8:]))
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

func record(i int) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"n":%d,"pad":%q}`, i, strings.Repeat("x", i*i*40%9000)))
}

// afterPowerLoss opens what is left on a disk and reads the journal. It makes sure
// that the records are a prefix of those written and that the journal goes on.
func afterPowerLoss(t *testing.T, d disk) int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	for name, content := range map[string][]byte{path: d.db, path + "-wal": d.wal} {
		if content == nil {
			continue
		}
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	read := func() (n int, head journal.Head) {
		for seg, err := range journal.Read(t.Context(), st, powerRun, journal.Head{}) {
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(seg.Records[0]), string(record(n)); got != want {
				t.Fatalf("record %d is %.60s, want %.60s", n, got, want)
			}
			n, head = n+1, seg.Head
		}
		return n, head
	}
	n, head := read()
	if err := journal.At(st, powerRun, head).Append(t.Context(), time.Now(), []json.RawMessage{record(n)}); err != nil {
		t.Fatal(err)
	}
	if after, _ := read(); after != n+1 {
		t.Fatalf("%d records after one more was written to %d", after, n)
	}
	return n
}

// kept is how many segments must be there when the log was cut at a byte.
func (w written) kept(cut int) int {
	n := 0
	for n < len(w.acknowledged) && w.acknowledged[n] <= cut {
		n++
	}
	return n
}

// same is how far a log is as it was written; a zero may stand for a zero.
func (w written) same(wal []byte) int {
	n := 0
	for n < len(wal) && wal[n] == w.wal[n] {
		n++
	}
	return n
}

// The log is cut at every frame, and inside frames; or what follows the cut is not
// missing but zeros, or what lay there before. The journal is a prefix of what was
// written, and has all that was acknowledged before the cut.
func TestTheLogIsCutByPowerLoss(t *testing.T) {
	w := segments(t, filepath.Join(t.TempDir(), "state.db"), 8)
	cuts := []int{0, 1, walHeader - 1}
	inside := []int{1, frameHeader - 1, frameHeader, frameHeader + 1, frameHeader + w.pageSize/2, w.frame() - 1}
	for n, at := 0, walHeader; at <= len(w.wal); n, at = n+1, at+w.frame() {
		// Inside, the places take turns: each is tried in some frames.
		cuts = append(cuts, at, at+inside[n%len(inside)], at+inside[(n+3)%len(inside)])
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	tails := map[string]func(tail []byte) []byte{
		"missing": func([]byte) []byte { return nil },
		"zeros":   func(tail []byte) []byte { return make([]byte, len(tail)) },
		"garbage": func(tail []byte) []byte {
			out := make([]byte, len(tail))
			for i := range out {
				out[i] = byte(rnd.Uint32())
			}
			return out
		},
	}
	tried := 0
	for _, cut := range cuts {
		if cut > len(w.wal) {
			continue
		}
		for name, tail := range tails {
			if name != "missing" && cut%3 != 0 { // each has its turn at every kind of place
				continue
			}
			wal := append(bytes.Clone(w.wal[:cut]), tail(w.wal[cut:])...)
			if got, want := afterPowerLoss(t, disk{w.db, wal}), w.kept(w.same(wal)); got != want {
				t.Fatalf("cut at byte %d of %d, the rest %s: %d segments, want %d", cut, len(w.wal), name, got, want)
			}
			tried++
		}
	}
	// Pages of the last write arrive in any order: all but one of its frames.
	for at := walHeader; at < len(w.wal); at += w.frame() {
		wal := bytes.Clone(w.wal)
		clear(wal[at+frameHeader : at+w.frame()])
		if got, want := afterPowerLoss(t, disk{w.db, wal}), w.kept(w.same(wal)); got != want {
			t.Fatalf("frame at byte %d did not arrive: %d segments, want %d", at, got, want)
		}
		tried++
	}
	figures.Record(t, "Power loss", "cuts of SQLite's log, at every frame and inside; records lost that were acknowledged", "%d; 0", tried)
}

// The power fails while the log is brought into the file: any of its pages may be
// new or old, or half of each. The log has them all.
func TestPowerFailsDuringACheckpoint(t *testing.T) {
	const n = 8
	path := filepath.Join(t.TempDir(), "state.db")
	w := segments(t, path, n)
	// Closing has brought the log into the file.
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(after) <= len(w.db) {
		t.Fatalf("the file has %d bytes after the checkpoint, %d before", len(after), len(w.db))
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 12 {
		db := bytes.Clone(after[:max(len(w.db), rnd.IntN(len(after)+1))])
		for at := 0; at+w.pageSize <= len(db); at += w.pageSize {
			old := make([]byte, w.pageSize)
			if at < len(w.db) {
				copy(old, w.db[at:])
			}
			switch rnd.IntN(3) {
			case 0:
				copy(db[at:], old)
			case 1:
				copy(db[at:], old[:512*rnd.IntN(w.pageSize/512)])
			}
		}
		if got := afterPowerLoss(t, disk{db, w.wal}); got != n {
			t.Fatalf("%d segments, want %d", got, n)
		}
	}
}

// After a checkpoint the log begins again over its old frames, which a reader must
// not take for new ones.
func TestOldFramesBehindTheLogAreNotReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	j := journal.At(st, powerRun, journal.Head{})
	next := 0
	write := func(n int) {
		for range n {
			if err := j.Append(t.Context(), time.Now(), []json.RawMessage{record(next)}); err != nil {
				t.Fatal(err)
			}
			next++
		}
	}
	write(20)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("PRAGMA wal_checkpoint(RESTART)"); err != nil {
		t.Fatal(err)
	}
	long, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	write(3)
	d := diskOf(t, path)
	if len(d.wal) != len(long) || bytes.Equal(d.wal, long) {
		t.Fatalf("the log has %d bytes, before it had %d: it did not begin again", len(d.wal), len(long))
	}
	if got := afterPowerLoss(t, d); got != next {
		t.Errorf("%d segments, want %d", got, next)
	}
}

// A write is acknowledged once it is on the disk: what a copy of the files has at
// that moment is what a power loss would leave.
func TestWhatIsAcknowledgedIsInTheFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	j := journal.At(st, powerRun, journal.Head{})
	for i := range 10 {
		if err := j.Append(t.Context(), time.Now(), []json.RawMessage{record(i)}); err != nil {
			t.Fatal(err)
		}
		if got := afterPowerLoss(t, diskOf(t, path)); got != i+1 {
			t.Fatalf("%d segments are in the files, %d were acknowledged", got, i+1)
		}
	}
}
