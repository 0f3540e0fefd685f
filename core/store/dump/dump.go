// Package dump writes records of a store as text that people and diffs can read, and
// reads it back: Write for a backup, Read and Load to look at one or to put it into
// another store.
package dump

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/runner-pipelines/runner/core/store"
)

// head is the first line; the number is the format's version.
const head = "runner records 1"

// How a value is written, after its key. Each line of it is indented by two spaces.
const (
	asText   = "text"   // the value is its lines, each with its line break
	asOpen   = "open"   // likewise, but the last one has no line break
	asBase64 = "base64" // anything else
)

const lineLen = 76

// Write writes the items in the order that they come in. Versions are not kept.
func Write(w io.Writer, items []store.Item) error {
	out := bufio.NewWriter(w)
	_, _ = fmt.Fprintln(out, head) // errors come with Flush
	for _, it := range items {
		how, text := asText, string(it.Value)
		switch {
		case !plain(it.Value):
			how, text = asBase64, fold(base64.StdEncoding.EncodeToString(it.Value))
		case !strings.HasSuffix(text, "\n"):
			how, text = asOpen, text+"\n"
		}
		_, _ = fmt.Fprintf(out, "%s %s\n", strconv.Quote(it.Key), how)
		for line := range strings.Lines(text) {
			_, _ = out.WriteString("  " + line)
		}
	}
	return out.Flush()
}

// plain reports whether a value is text that survives a line-wise reading.
func plain(b []byte) bool {
	return len(b) > 0 && utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool {
		return r != '\n' && (r < ' ' || r == 0x7f || r == 0xfeff)
	})
}

func fold(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		n := min(lineLen, len(s))
		b.WriteString(s[:n] + "\n")
		s = s[n:]
	}
	return b.String()
}

// Read reads what Write wrote.
func Read(r io.Reader) ([]store.Item, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(string(b), "\n")
	if strings.TrimSuffix(lines[0], "\n") != head {
		return nil, errors.New("not records of a runner's state")
	}
	if lines[len(lines)-1] != "" {
		return nil, errors.New("records are cut off")
	}
	var out []store.Item
	for i := 1; i < len(lines)-1; {
		at := i + 1
		key, how, ok := cutKey(strings.TrimSuffix(lines[i], "\n"))
		var text strings.Builder
		for i++; i < len(lines)-1 && strings.HasPrefix(lines[i], "  "); i++ {
			text.WriteString(lines[i][2:])
		}
		value, err := valueOf(how, text.String())
		if !ok || err != nil {
			return nil, fmt.Errorf("records: the record at line %d cannot be read (%v)", at, err)
		}
		out = append(out, store.Item{Key: key, Value: value})
	}
	return out, nil
}

func cutKey(line string) (key, how string, ok bool) {
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		return "", "", false
	}
	key, err = strconv.Unquote(quoted)
	how, ok = strings.CutPrefix(line[len(quoted):], " ")
	return key, how, err == nil && ok
}

func valueOf(how, text string) ([]byte, error) {
	switch how {
	case asText:
		return []byte(text), nil
	case asOpen:
		return []byte(strings.TrimSuffix(text, "\n")), nil
	case asBase64:
		return base64.StdEncoding.DecodeString(strings.ReplaceAll(text, "\n", ""))
	}
	return nil, fmt.Errorf("%q is none of %s, %s, %s", how, asText, asOpen, asBase64)
}

// Load puts items into a store that has none of them.
func Load(ctx context.Context, s store.Store, items []store.Item) error {
	for _, it := range items {
		if _, err := s.PutAbsent(ctx, it.Key, it.Value); err != nil {
			return fmt.Errorf("load %s: %w", it.Key, err)
		}
	}
	return nil
}
