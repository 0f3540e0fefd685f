package completion

import (
	"context"
	"flag"
	"strings"

	"github.com/runner-pipelines/runner/core/cli/command"
)

// line is the line of one command. What an argument or an option takes is read
// from the command's own usage: [RUN [STAGE]], `file`.
type line struct {
	env     *command.Env
	command *command.Command
	words   []string
}

func (l *line) word() string { return l.words[len(l.words)-1] }

func (l *line) complete(ctx context.Context) []Candidate {
	word := l.word()
	if strings.HasPrefix(word, "-") && word != "-" || word == "-" && !strings.Contains(l.command.Args, "-") {
		name, value, given := strings.Cut(word, "=")
		if given {
			return l.valueOf(ctx, name, value)
		}
		return matching(word, l.flags())
	}
	args := l.arguments()
	// The value of an option may be a word of its own.
	if len(l.words) > 1 {
		before := l.words[len(l.words)-2]
		if f := l.flag(before); f != nil && !isSwitch(f) && !strings.Contains(before, "=") {
			return l.offer(ctx, kindOf(f), args, word)
		}
	}
	var out []Candidate
	for _, kind := range kindsAt(l.command.Args, len(args)) {
		out = append(out, l.offer(ctx, kind, args, word)...)
	}
	return out
}

// valueOf completes -name=value.
func (l *line) valueOf(ctx context.Context, name, value string) []Candidate {
	f := l.flag(name)
	if f == nil {
		return nil
	}
	out := l.offer(ctx, kindOf(f), l.arguments(), strings.TrimLeft(value, `'"`))
	if isSwitch(f) {
		out = matching(value, []Candidate{{Value: "true"}, {Value: "false"}})
	}
	for i, c := range out {
		if c.Value != Files && c.Value != Dirs {
			out[i].Value = name + "=" + c.Value
		}
	}
	return out
}

func (l *line) offer(ctx context.Context, kind string, args []string, word string) []Candidate {
	s := source{env: l.env, open: l.wantsOpenRuns(), gated: l.answers(), args: args}
	return matching(word, s.offer(ctx, kind))
}

// wantsOpenRuns says that the command is of use for runs that have not ended.
func (l *line) wantsOpenRuns() bool {
	switch l.command.Name {
	case "resume", "cancel", "watch":
		return true
	}
	return l.answers()
}

// answers says that the command answers open gates.
func (l *line) answers() bool { return l.command.Name == "approve" || l.command.Name == "reject" }

// arguments are the words before the last that are neither options nor their values.
func (l *line) arguments() []string {
	var out []string
	for i := 0; i < len(l.words)-1; i++ {
		w := l.words[i]
		if !strings.HasPrefix(w, "-") || w == "-" {
			out = append(out, w)
			continue
		}
		if f := l.flag(w); f != nil && !isSwitch(f) && !strings.Contains(w, "=") {
			i++
		}
	}
	return out
}

func (l *line) flag(word string) *flag.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if !strings.HasPrefix(word, "-") {
		return nil
	}
	return l.command.Flags.Lookup(name)
}

func (l *line) flags() []Candidate {
	out := []Candidate{{"-help", "tell more of this command"}}
	l.command.Flags.VisitAll(func(f *flag.Flag) {
		_, about := flag.UnquoteUsage(f)
		value := "-" + f.Name
		if !isSwitch(f) {
			value += "="
		}
		out = append(out, Candidate{value, about})
	})
	return out
}

func isSwitch(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// kindOf is what a flag's value names: the word in backquotes of its usage.
func kindOf(f *flag.Flag) string {
	kind, _ := flag.UnquoteUsage(f)
	if kind == "mode" {
		return "readonly"
	}
	return strings.ToUpper(kind)
}

// kindsAt is what the argument at a place names, by the usage of the command.
func kindsAt(usage string, at int) []string {
	usage = strings.NewReplacer(" or ", "|", "[", "", "]", "").Replace(usage)
	places := strings.Fields(usage)
	if len(places) == 0 {
		return nil
	}
	if last := places[len(places)-1]; at >= len(places) && strings.HasSuffix(last, "...") {
		at = len(places) - 1
	}
	if at >= len(places) {
		return nil
	}
	return strings.Split(strings.TrimSuffix(places[at], "..."), "|")
}
