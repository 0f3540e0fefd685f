package man

import (
	"flag"
	"fmt"
	"strings"

	"github.com/runner-pipelines/runner/core/cli/command"
)

// whole is the page of the program.
func whole(version string, commands []*command.Command) string {
	var b strings.Builder
	title(&b, "runner", version, "takes a pipeline from commit to production")
	section(&b, "Synopsis")
	b.WriteString("**runner** [**-chdir**=*DIR*] *COMMAND* [options] [arguments]\n\n")
	section(&b, "Description")
	prose(&b, command.About)
	section(&b, "Commands")
	for _, c := range commands {
		item(&b, "**"+escape("runner-"+c.Name)+"**(1)", escape(c.Short))
	}
	section(&b, "Options")
	item(&b, "**-chdir**=*DIR*", "Work in another folder. It stands before the command.")
	item(&b, "**-help**", "List the commands; after a command, tell more of it.")
	item(&b, "**-version**", "Tell this program's version.")
	exitCodes(&b)
	return b.String()
}

// page is that of one command.
func page(version string, c *command.Command) string {
	var b strings.Builder
	title(&b, "runner-"+c.Name, version, escape(lowerFirst(c.Short)))
	section(&b, "Synopsis")
	fmt.Fprintf(&b, "**runner %s** [options] %s\n\n", escape(c.Name), escape(c.Args))
	section(&b, "Description")
	prose(&b, c.Long)
	first := true
	c.Flags.VisitAll(func(f *flag.Flag) {
		if first {
			section(&b, "Options")
			first = false
		}
		value, usage := flag.UnquoteUsage(f)
		name := "**" + escape("-"+f.Name) + "**"
		if value != "" {
			name += "=*" + escape(value) + "*"
		}
		item(&b, name, escape(usage)+".")
	})
	exitCodes(&b)
	section(&b, "See also")
	b.WriteString("**runner**(1)\n")
	return b.String()
}

func title(b *strings.Builder, name, version, about string) {
	fmt.Fprintf(b, "%s 1 \"\" \"runner %s\" \"User commands\"\n=====\n\n", name, version)
	section(b, "Name")
	fmt.Fprintf(b, "%s - %s\n\n", escape(name), about)
}

func section(b *strings.Builder, name string) { fmt.Fprintf(b, "# %s\n\n", strings.ToUpper(name)) }

// item is one entry of a list of definitions.
func item(b *strings.Builder, name, text string) { fmt.Fprintf(b, "%s\n: %s\n\n", name, text) }

func exitCodes(b *strings.Builder) {
	section(b, "Exit codes")
	for line := range strings.Lines(command.ExitCodes) {
		code, meaning, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if ok {
			item(b, "**"+code+"**", escape(strings.TrimSpace(meaning))+".")
		}
	}
}

// prose writes a text of -help: its paragraphs, and as they are the lines that it
// sets in.
func prose(b *strings.Builder, text string) {
	inCode := false
	fence := func(code bool) {
		if code != inCode {
			if code {
				b.WriteString("\n")
			}
			b.WriteString("```\n")
			if !code {
				b.WriteString("\n")
			}
			inCode = code
		}
	}
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		line = strings.TrimRight(line, "\n")
		code := strings.HasPrefix(line, "  ")
		fence(code)
		if !code {
			line = escape(line)
		}
		b.WriteString(line + "\n")
	}
	fence(false)
	b.WriteString("\n")
}

// escape keeps text from being read as Markdown.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune("\\`*_{}[]<>()#+-!|~", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
