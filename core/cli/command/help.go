package command

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/runner-pipelines/runner/core/diagnostics"
)

const messagesTopic = "messages"

// help is `runner help [TOPIC]`: a command, a message's code, or "messages" for
// the list of those. It returns the exit code.
func help(env *Env, commands []*Command, args []string) int {
	if len(args) == 0 {
		overview(env.Stdout, commands)
		return OK
	}
	topic := args[0]
	if c := find(commands, topic); c != nil {
		Help(env.Stdout, c)
		return OK
	}
	if topic == messagesTopic {
		for _, code := range diagnostics.Codes() {
			page, _ := diagnostics.Page(code)
			fmt.Fprintf(env.Stdout, "%-40s %s\n", code, diagnostics.Titles(page)[0])
		}
		return OK
	}
	// People paste a message's first line as readily as its code.
	code := topic
	if found := diagnostics.Code(strings.TrimPrefix(strings.Join(args, " "), "Error: ")); found != "" {
		code = found
	}
	page, ok := diagnostics.Page(code)
	if !ok {
		topics := diagnostics.Codes()
		for _, c := range commands {
			topics = append(topics, c.Name)
		}
		fmt.Fprintf(env.Stderr, "Error: Unknown command\n\nThere is no command and no message %q.%s To list them:\n  runner help\n  runner help %s\n",
			topic, diagnostics.Suggest(topic, topics), messagesTopic)
		return Failed
	}
	fmt.Fprint(env.Stdout, plainPage(page))
	return OK
}

// plainPage is a page without what only a renderer of Markdown needs.
func plainPage(page string) string {
	var b strings.Builder
	for line := range strings.Lines(page) {
		switch title, isTitle := strings.CutPrefix(line, "# "); {
		case isTitle:
			b.WriteString(title)
		case strings.HasPrefix(line, "## "):
			b.WriteString(strings.ToUpper(strings.TrimPrefix(line, "## ")))
		default:
			b.WriteString(wrap(link.ReplaceAllString(line, "$1")))
		}
	}
	return b.String()
}

// link is one of Markdown; its text says enough.
var link = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// pageWidth is how many columns the text of a page takes.
const pageWidth = 80

// wrap breaks a paragraph into lines; what is indented stays as it is.
func wrap(line string) string {
	if strings.HasPrefix(line, " ") || len(line) <= pageWidth {
		return line
	}
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(line) {
		width := len([]rune(word))
		switch {
		case column == 0:
		case column+1+width > pageWidth:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += width
	}
	b.WriteByte('\n')
	return b.String()
}

// About is what the program says of itself.
const About = `runner takes a pipeline from commit to production: it builds, tests, deploys by
any strategy, watches, and goes back by itself. What it does stands in one file,
pipeline.hcl, in this folder or one above.`

func overview(w io.Writer, commands []*Command) {
	commands = Visible(commands)
	fmt.Fprintf(w, "Usage: runner [-chdir=DIR] COMMAND [options] [arguments]\n\n%s\n\nTo begin:\n", About)
	for _, c := range beginning {
		if find(commands, c.name) != nil {
			fmt.Fprintf(w, "  runner %-8s %s\n", c.name, c.what)
		}
	}
	fmt.Fprint(w, `
No pipeline yet? This is one; put it into pipeline.hcl:
`, firstPipeline, "\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-10s %s\n", c.Name, c.Short)
	}
	fmt.Fprintf(w, "\n%s\nrunner COMMAND -help tells more of one command, runner help CODE of a message.\n", ExitCodes)
}

// beginning are the commands that a newcomer calls, in this order.
var beginning = []struct{ name, what string }{
	{"new", "write a pipeline for what lies in this folder"},
	{"init", "find the plugins that the pipeline names, and remember them"},
	{"plan", "tell what would be done, and how it would go back; nothing is touched"},
	{"apply", "do it"},
}

// firstPipeline is accepted by init, plan and apply as it stands.
const firstPipeline = `
  runner {
    required_plugins {
      local = { source = "runner/local", version = "~> 0.1" }
    }
  }
  pipeline "hello" {}
  stage "greet" {
    use "local_exec" {
      command = ["echo", "hello"]
    }
  }
`

// Help writes the full description of a command.
func Help(w io.Writer, c *Command) {
	usage := "Usage: runner " + c.Name + " [options]"
	if c.Args != "" {
		usage += " " + c.Args
	}
	fmt.Fprintf(w, "%s\n\n%s\n", usage, strings.TrimSpace(c.Long))
	var lines []string
	for _, o := range c.Options() {
		lines = append(lines, fmt.Sprintf("  %-26s %s", o.Form, o.Text))
	}
	if len(lines) > 0 {
		fmt.Fprintf(w, "\nOptions:\n%s\n", strings.Join(lines, "\n"))
	}
	fmt.Fprintf(w, "\n%s", ExitCodes)
}

// Option is one option of a command, as the help shows it.
type Option struct {
	// Form is how it is written, such as -out=FILE.
	Form string
	Text string
}

// Options are those of the command, in order.
func (c *Command) Options() []Option {
	var out []Option
	c.Flags.VisitAll(func(f *flag.Flag) {
		name, text := flag.UnquoteUsage(f)
		if name != "" {
			name = "=" + strings.ToUpper(name)
		}
		out = append(out, Option{"-" + f.Name + name, text})
	})
	return out
}
