// Package page puts what was measured into pages of the documentation, between
// markers that name the command which writes them.
package page

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// Write replaces what the page in the file has between the markers of a command,
// such as "make bench". It fails, and changes nothing, when they are not there.
func Write(path, command string, report []byte) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	written, err := between(old, command, report)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, written, 0o644)
}

// Markers enclose what a command writes.
func Markers(command string) (begin, end string) {
	marker := func(which string) string { return fmt.Sprintf("<!-- written by %s: %s -->\n", command, which) }
	return marker("begin"), marker("end")
}

func between(page []byte, command string, report []byte) ([]byte, error) {
	begin, end := Markers(command)
	before, rest, begun := bytes.Cut(page, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !begun || !ended {
		return nil, fmt.Errorf("the page does not have the markers %q and %q", begin, end)
	}
	return bytes.Join([][]byte{before, []byte(begin), report, []byte(end), after}, nil), nil
}

// Table writes a table in Markdown.
func Table(out *bytes.Buffer, head []string, rows [][]string) {
	rule := make([]string, len(head))
	for i := range rule {
		rule[i] = "---"
	}
	for _, row := range append([][]string{head, rule}, rows...) {
		fmt.Fprintf(out, "| %s |\n", strings.Join(row, " | "))
	}
}
