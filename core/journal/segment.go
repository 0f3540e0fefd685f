package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/internal/strict"
)

// format of segments and snapshots.
const format = 1

// Head is a place in a journal: behind segment Number, whose hash is Hash. The
// zero Head is the beginning.
type Head struct {
	Number int    `json:"number"`
	Hash   string `json:"hash"`
}

// Segment is one batch of records that became durable together.
type Segment struct {
	// Head is the place behind this segment.
	Head
	Time    time.Time
	Records []json.RawMessage
}

// body of a segment as it is stored, in a frame. Previous links it to the segment
// before, and the first one to the run.
type body struct {
	Format   int               `json:"format"`
	Run      string            `json:"run"`
	Segment  int               `json:"segment"`
	Time     time.Time         `json:"time"`
	Writer   string            `json:"writer"`
	Previous string            `json:"previous"`
	Records  []json.RawMessage `json:"records"`
}

// firstLink stands for the hash of the segment before the first.
func firstLink(run string) string {
	sum := sha256.Sum256([]byte(run))
	return hex.EncodeToString(sum[:])
}

func prefix(run string) string { return "runs/" + run + "/journal/" }

func key(run string, n int) string { return fmt.Sprintf("%s%010d", prefix(run), n) }

// encode makes the segment that follows head.
func encode(run, writer string, head Head, at time.Time, records []json.RawMessage) (value []byte, next Head) {
	size := 256 + len(run)
	for _, r := range records {
		size += len(r) + 1
	}
	b := frame.New(size)
	b = append(b, `{"format":`...)
	b = strconv.AppendInt(b, format, 10)
	b = append(b, `,"run":`...)
	b = appendJSON(b, run)
	b = append(b, `,"segment":`...)
	b = strconv.AppendInt(b, int64(head.Number+1), 10)
	b = append(b, `,"time":"`...)
	b = at.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","writer":`...)
	b = appendJSON(b, writer)
	b = append(b, `,"previous":"`...)
	if head.Number == 0 {
		b = append(b, firstLink(run)...)
	} else {
		b = append(b, head.Hash...)
	}
	b = append(b, `","records":[`...)
	for i, r := range records {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, r...)
	}
	b = append(b, "]}\n"...)
	return b, Head{Number: head.Number + 1, Hash: frame.Close(b)}
}

func appendJSON(b []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // a string cannot fail
	return append(b, quoted...)
}

// decode reads the segment that must follow head, stored under key.
func decode(run string, head Head, storedKey string, value []byte) (Segment, error) {
	n := head.Number + 1
	damaged := func(what string) error {
		return &DamageError{Run: run, Segment: n, Key: storedKey, What: what}
	}
	if storedKey != key(run, n) {
		return Segment{}, damaged("is missing; the next one found is " + strings.TrimPrefix(storedKey, prefix(run)))
	}
	content, hash, err := frame.Open(value)
	if err != nil {
		return Segment{}, damaged(err.Error())
	}
	var known struct{ Format int }
	if json.Unmarshal(content, &known) == nil && known.Format > format {
		return Segment{}, fmt.Errorf("journal of run %s: segment %d was %w: it has format %d, this runner knows up to %d", run, n, ErrNewer, known.Format, format)
	}
	var b body
	err = strict.Unmarshal(content, &b)
	if errors.As(err, new(*strict.FieldError)) {
		return Segment{}, fmt.Errorf("journal of run %s: segment %d was %w: it %w", run, n, ErrNewer, err)
	}
	if err != nil {
		return Segment{}, damaged("is not in the form of a segment: " + err.Error())
	}
	link := head.Hash
	if head.Number == 0 {
		link = firstLink(run)
	}
	switch {
	case b.Run != run:
		return Segment{}, damaged("belongs to run " + strconv.Quote(b.Run))
	case b.Segment != n:
		return Segment{}, damaged("holds the content of segment " + strconv.Itoa(b.Segment))
	case b.Previous != link:
		return Segment{}, damaged("does not follow the segment before it")
	}
	return Segment{Head: Head{Number: n, Hash: hash}, Time: b.Time, Records: b.Records}, nil
}
