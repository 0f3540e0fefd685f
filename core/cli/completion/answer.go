package completion

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/core/cli/command"
)

// Answer is the name of the hidden command that scripts ask.
const Answer = "__complete"

// Files and Dirs are answers that leave completing to the shell.
const (
	Files = ":files"
	Dirs  = ":dirs"
)

// maxWidth is how much of a description is shown.
const maxWidth = 70

// Candidate is one way to go on.
type Candidate struct{ Value, About string }

// NewAnswer is the hidden command. After --, it takes the words of the line so
// far without the program's name, and completes the last. It answers one candidate
// a line: the word, and after a tab what it is.
func NewAnswer(env *command.Env, commands func() []*command.Command) *command.Command {
	c := &command.Command{
		Name: Answer, Args: "-- [WORD...]", Short: "Complete a command line", Flags: command.NewFlags(Answer),
		Long: "Completes a command line for the scripts of runner completion.",
	}
	next := c.Flags.Bool("next", false, "complete an empty word after those given")
	c.Run = func(ctx context.Context, args []string) error {
		if *next || len(args) == 0 {
			args = append(args, "")
		}
		for _, cand := range Complete(ctx, env, commands(), args) {
			line := cand.Value
			if cand.About != "" {
				line += "\t" + short(cand.About)
			}
			if _, err := fmt.Fprintln(env.Stdout, line); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

func short(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if r := []rune(text); len(r) > maxWidth {
		return string(r[:maxWidth-1]) + "…"
	}
	return text
}

// Complete answers for the last of the words. It never fails: where nothing can
// be known, nothing is offered.
func Complete(ctx context.Context, env *command.Env, commands []*command.Command, words []string) []Candidate {
	words = slices.Clone(words)
	last := len(words) - 1
	// Half of a quoted word comes with its quote.
	words[last] = strings.TrimLeft(words[last], `'"`)
	for len(words) > 1 && isChdir(words[0]) {
		_, dir, _ := strings.Cut(words[0], "=")
		moved := *env
		if moved.Chdir(dir) != nil {
			return nil
		}
		env, words = &moved, words[1:]
	}
	if len(words) == 1 {
		return matching(words[0], overall(commands, words[0]))
	}
	i := slices.IndexFunc(commands, func(c *command.Command) bool { return c.Name == words[0] })
	if words[0] == "help" {
		return matching(words[1], names(commands))
	}
	if i < 0 {
		return nil
	}
	l := &line{env: env, command: commands[i], words: words[1:]}
	return l.complete(ctx)
}

func isChdir(word string) bool {
	return strings.HasPrefix(word, "-chdir=") || strings.HasPrefix(word, "--chdir=")
}

func overall(commands []*command.Command, word string) []Candidate {
	switch {
	case isChdir(word):
		return []Candidate{{Value: Dirs}}
	case strings.HasPrefix(word, "-"):
		return []Candidate{{"-chdir=", "work in another folder"}, {"-help", "list the commands"}, {"-version", "tell this program's version"}}
	}
	return append(names(commands), Candidate{"help", "Tell more of a command"})
}

func names(commands []*command.Command) []Candidate {
	var out []Candidate
	for _, c := range command.Visible(commands) {
		out = append(out, Candidate{c.Name, c.Short})
	}
	return out
}

// matching keeps what begins with the word; what the shell completes itself stays.
func matching(word string, all []Candidate) []Candidate {
	return slices.DeleteFunc(all, func(c Candidate) bool {
		return c.Value != Files && c.Value != Dirs && !strings.HasPrefix(c.Value, word)
	})
}
