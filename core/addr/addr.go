// Package addr names the nodes of a pipeline: module.m["k"].stage.s["k"].
package addr

import (
	"fmt"
	"strconv"
	"strings"
)

// Stage is one instance of a stage. It is comparable, so it serves as a map key.
type Stage struct {
	// Module is the address of the module instance that holds the stage, such as
	// module.eu["a"].module.db; empty for the root.
	Module string
	Name   string
	// Key is set when the stage has for_each; Keyed then holds.
	Key   string
	Keyed bool
}

// String writes the address: stage.build, module.eu["a"].stage.release["prod"].
func (s Stage) String() string {
	var b strings.Builder
	b.Grow(len(s.Module) + len(s.Name) + len(s.Key) + len(".stage.[\"\"]"))
	if s.Module != "" {
		b.WriteString(s.Module)
		b.WriteByte('.')
	}
	writeStep(&b, "stage", s.Name, s.Key, s.Keyed)
	return b.String()
}

// Child is the address of a module instance inside another; parent is empty
// for the root.
func Child(parent, name, key string, keyed bool) string {
	var b strings.Builder
	if parent != "" {
		b.WriteString(parent)
		b.WriteByte('.')
	}
	writeStep(&b, "module", name, key, keyed)
	return b.String()
}

func writeStep(b *strings.Builder, kind, name, key string, keyed bool) {
	b.WriteString(kind)
	b.WriteByte('.')
	b.WriteString(name)
	if keyed {
		b.WriteByte('[')
		b.WriteString(strconv.Quote(key))
		b.WriteByte(']')
	}
}

// Parse reads what String writes.
func Parse(text string) (Stage, error) {
	var s Stage
	rest := text
	for {
		kind, name, key, keyed, after, err := parseStep(rest)
		if err != nil {
			return Stage{}, fmt.Errorf("stage address %q: %w", text, err)
		}
		if kind == "stage" {
			if after != "" {
				return Stage{}, fmt.Errorf("stage address %q: nothing may follow the stage", text)
			}
			s.Name, s.Key, s.Keyed = name, key, keyed
			return s, nil
		}
		if after == "" {
			return Stage{}, fmt.Errorf("stage address %q: it names a module and no stage", text)
		}
		s.Module = Child(s.Module, name, key, keyed)
		rest = after[1:]
	}
}

// parseStep reads one kind.name["key"]; after is empty or begins with a dot.
func parseStep(text string) (kind, name, key string, keyed bool, after string, err error) {
	kind, rest, _ := strings.Cut(text, ".")
	if kind != "stage" && kind != "module" {
		return "", "", "", false, "", fmt.Errorf(`expected "stage." or "module." before %q`, text)
	}
	end := strings.IndexAny(rest, ".[")
	if end < 0 {
		end = len(rest)
	}
	name, after = rest[:end], rest[end:]
	if !IsName(name) {
		return "", "", "", false, "", fmt.Errorf("%q is not a name", name)
	}
	if strings.HasPrefix(after, "[") {
		quoted, err := strconv.QuotedPrefix(after[1:])
		if err != nil || !strings.HasPrefix(quoted, `"`) {
			return "", "", "", false, "", fmt.Errorf("a key must be a quoted string")
		}
		if key, err = strconv.Unquote(quoted); err != nil {
			return "", "", "", false, "", fmt.Errorf("key %s: %w", quoted, err)
		}
		keyed, after = true, after[1+len(quoted):]
		if !strings.HasPrefix(after, "]") {
			return "", "", "", false, "", fmt.Errorf("a key must end with ]")
		}
		after = after[1:]
	}
	if after != "" && after[0] != '.' {
		return "", "", "", false, "", fmt.Errorf("unexpected %q", after)
	}
	return kind, name, key, keyed, after, nil
}

// IsName reports whether s can name a stage, module, variable and so on: ASCII
// letters, digits, _ and -, beginning with a letter or _.
func IsName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}
