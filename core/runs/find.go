package runs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/agext/levenshtein"

	"github.com/runner-pipelines/runner/core/journal"
)

// Latest is the reference to the newest run.
const Latest = "latest"

// maxCandidates is how many runs an error lists.
const maxCandidates = 10

// NotFoundError means that no run matches.
type NotFoundError struct {
	// Ref is what was asked for.
	Ref string
	// Near are IDs of runs that the user may have meant, newest first.
	Near []string
}

func (e *NotFoundError) Error() string {
	if e.Ref == "latest" {
		return "there are no runs yet; begin one with runner apply"
	}
	s := fmt.Sprintf("no run matches %q; runner history lists them", e.Ref)
	if len(e.Near) > 0 {
		s += "; did you mean " + strings.Join(e.Near, " or ") + "?"
	}
	return s
}

// AmbiguousError means that several runs match.
type AmbiguousError struct {
	Ref string
	// Runs that match, newest first; at most ten.
	Runs []Record
	// More runs match than are listed.
	More bool
}

func (e *AmbiguousError) Error() string {
	ids := make([]string, len(e.Runs))
	for i, r := range e.Runs {
		ids[i] = r.ID
	}
	if e.More {
		ids = append(ids, "and more")
	}
	return fmt.Sprintf("more than one run matches %q: %s", e.Ref, strings.Join(ids, ", "))
}

// Find reads a run by ID, by the beginning or end of one, or by "latest": the
// newest. No match is a *NotFoundError, several an *AmbiguousError.
func (x *Index) Find(ctx context.Context, ref string) (Record, error) {
	ref = strings.ToLower(strings.TrimSpace(ref))
	if ref == Latest {
		for rec, err := range x.scan(ctx, "") {
			return rec, err
		}
		return Record{}, &NotFoundError{Ref: ref}
	}
	if len(ref) == idLen {
		if rec, err := x.Get(ctx, ref); err == nil {
			return rec, nil
		}
	}
	var matches []Record
	var near []string
	more := false
	for rec, err := range x.scan(ctx, "") {
		damage, damaged := errors.AsType[*journal.DamageError](err)
		if damaged {
			rec.ID = damage.Run
		}
		matched := ref != "" && (strings.HasPrefix(rec.ID, ref) || strings.HasSuffix(rec.ID, ref))
		if err != nil && (matched || !damaged) {
			return Record{}, err
		}
		switch {
		case matched:
			more = len(matches) == maxCandidates
			if !more {
				matches = append(matches, rec)
			}
		case !damaged && len(near) < 3 && isNear(ref, rec.ID):
			near = append(near, rec.ID)
		}
		if more {
			break
		}
	}
	switch len(matches) {
	case 0:
		return Record{}, &NotFoundError{Ref: ref, Near: near}
	case 1:
		return matches[0], nil
	}
	return Record{}, &AmbiguousError{Ref: ref, Runs: matches, More: more}
}

// isNear compares with the whole ID and with its end, which is what people type.
func isNear(ref, id string) bool {
	_, end, _ := strings.Cut(id[min(len(id), 9):], "-")
	return len(ref) >= len(end) && levenshtein.Distance(ref, end, nil) <= 1 ||
		levenshtein.Distance(ref, id, nil) <= 2
}

const (
	idTime = "20060102-150405"
	// idLetters are Crockford's base 32: nothing is taken for something else.
	idLetters = "0123456789abcdefghjkmnpqrstvwxyz"
	// idEnd is the length of what follows the second: two letters that tell its
	// 1024th part, so that IDs sort by start, and two at random.
	idEnd = 4
	idLen = len(idTime) + 1 + idEnd
)

func newID(at time.Time) string {
	var b [idEnd]byte
	_, _ = rand.Read(b[:]) // never fails
	part := at.Nanosecond() / (1_000_000_000/1024 + 1)
	b[0], b[1] = byte(part>>5), byte(part)
	for i := range b {
		b[i] = idLetters[b[i]%32]
	}
	return at.UTC().Format(idTime) + "-" + string(b[:])
}

// indexKey sorts the newest run first: the digits and letters of the ID are turned
// round. It takes the beginning of an ID too.
func indexKey(id string) string { return "index/" + turn(id) }

func idOf(key string) string { return turn(strings.TrimPrefix(key, "index/")) }

func turn(id string) string {
	b := []byte(id)
	for i, c := range b {
		if i < len(idTime) && '0' <= c && c <= '9' {
			b[i] = '9' - c + '0'
		} else if at := strings.IndexByte(idLetters, c); i > len(idTime) && at >= 0 {
			b[i] = idLetters[len(idLetters)-1-at]
		}
	}
	return string(b)
}
