// Package reference writes the reference part of the documentation from what the
// program itself goes by: the commands, the language, what plugins describe, the
// pages of the messages. Each function gives one page in Markdown.
//
// The pages in docs/ are compared with it by the tests of this package, and
// written by make docs.
package reference

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
)

const generated = "<!-- Written by make docs; changes are made where it reads from. -->\n"

// Commands is the page of the command line.
func Commands(commands []*command.Command) string {
	commands = command.Visible(commands)
	var b strings.Builder
	b.WriteString(generated + "# Command line\n\n```\nrunner [-chdir=DIR] COMMAND [options] [arguments]\n```\n\n")
	b.WriteString("`-chdir=DIR` works as if `runner` had been started there. An option is written with one dash or with two, before or behind the arguments. `runner COMMAND -help` shows what stands here.\n\n")
	table(&b, "command", "")
	for _, c := range commands {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", c.Name, c.Name, cell(c.Short))
	}
	table(&b, "`help`", "")
	b.WriteString("| `help COMMAND` | the same as `COMMAND -help` |\n| `help CODE` | what a message means and what to do; [all of them](messages.md) |\n| `help messages` | the list of the codes |\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "\n## %s\n```\n%s\n```\n\n%s\n", c.Name, strings.TrimSpace("runner "+c.Name+" [options] "+c.Args), prose(c.Long))
		if options := c.Options(); len(options) > 0 {
			table(&b, "option", "")
			for _, o := range options {
				fmt.Fprintf(&b, "| `%s` | %s |\n", o.Form, cell(o.Text))
			}
		}
	}
	b.WriteString("\n## Exit codes\n```\n" + strings.TrimPrefix(command.ExitCodes, "Exit codes:\n") + "```\n")
	return b.String()
}

// prose is the long text of a command. Its indented lines, which are commands or
// tables, stay as they are: Markdown takes those as code behind an empty line.
func prose(text string) string {
	var b strings.Builder
	code := false
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		indented := strings.HasPrefix(line, "  ")
		if indented != code && strings.TrimSpace(line) != "" {
			if indented && b.Len() > 0 && !strings.HasSuffix(b.String(), "\n\n") {
				b.WriteByte('\n')
			}
			b.WriteString("```\n")
			if code = indented; !code {
				b.WriteByte('\n')
			}
		}
		b.WriteString(line)
	}
	if code {
		b.WriteString("```\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

//go:embed language.txt
var languageText string

// texts are what language.txt says, by path.
func texts() map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(languageText) {
		path, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
		out[path] = text
	}
	return out
}

// Pipeline is the page of the language.
func Pipeline() string {
	about := texts()
	var b strings.Builder
	b.WriteString(generated + "# pipeline.hcl\n\nEvery block and attribute of the language. [Writing a pipeline](../writing-a-pipeline.md) explains it with examples; what stands in a component's own block is told by its plugin's page in [plugins](plugins).\n\n")
	sections := config.Language()
	b.WriteString(about[""] + "\n")
	for _, s := range sections {
		if s.Path == "" {
			table(&b, "block", "")
			for _, inner := range s.Body.Blocks {
				fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", inner.Type, inner.Type, cell(about[inner.Type]))
			}
			continue
		}
		writeSection(&b, s, about)
	}
	b.WriteString("\n## Functions\nFunctions have the names and the meaning that Terraform's users know. None reads a clock or rolls dice.\n\n")
	b.WriteString("`" + strings.Join(functions(), "`, `") + "`\n")
	return b.String()
}

func writeSection(b *strings.Builder, s config.Section, about map[string]string) {
	names := strings.Split(s.Path, ".")
	label := ""
	if s.Label != "" {
		label = ` "` + labelWord(s.Label) + `"`
	}
	if s.LabelOptional {
		label = " [" + strings.TrimSpace(label) + "]"
	}
	fmt.Fprintf(b, "\n%s %s\n`%s%s { … }`", strings.Repeat("#", min(len(names)+1, 4)), strings.Join(names, "."), names[len(names)-1], label)
	if len(names) > 1 {
		fmt.Fprintf(b, ", in %s", strings.Join(names[:len(names)-1], "."))
	}
	fmt.Fprintf(b, "\n\n%s", about[s.Path])
	if rest := about[s.Path+".*"]; rest != "" {
		b.WriteString(" " + rest)
	}
	b.WriteByte('\n')
	if len(s.Body.Attributes) > 0 {
		b.WriteString("\n| attribute | takes | default | |\n|---|---|---|---|\n")
	}
	for _, a := range s.Body.Attributes {
		form, text, _ := strings.Cut(about[s.Path+"."+a.Name], " | ")
		takes, standard, _ := strings.Cut(form, "; ")
		if a.Required {
			standard = "required"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", a.Name, cell(takes), cell(standard), cell(text))
	}
	writeBlocks(b, s.Path, s.Body.Blocks)
}

func writeBlocks(b *strings.Builder, path string, blocks []block.Block) {
	if len(blocks) == 0 {
		return
	}
	b.WriteString("\nBlocks:")
	for i, inner := range blocks {
		comma := ","
		if i == 0 {
			comma = ""
		}
		at := path + "." + inner.Type
		fmt.Fprintf(b, "%s [`%s`](#%s)", comma, inner.Type, strings.ReplaceAll(at, ".", ""))
	}
	b.WriteString("\n")
}

// labelWord is NAME, or COMPONENT.
func labelWord(label string) string {
	if strings.Contains(label, "component") {
		return "COMPONENT"
	}
	return "NAME"
}

func functions() []string {
	var names []string
	for name := range lang.Functions(nil) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Messages is the index of the messages; where leads to the folder of their pages.
func Messages(where string) string {
	var b strings.Builder
	b.WriteString(generated + "# Messages\n\nWhat the messages of `runner` mean, and what to do. The page of a message is also shown by `runner help CODE`, without a network, and the command that failed names it. With `-json` a diagnostic has the same `code`.\n")
	table(&b, "code", "message")
	for _, code := range diagnostics.Codes() {
		page, _ := diagnostics.Page(code)
		titles := diagnostics.Titles(page)
		fmt.Fprintf(&b, "| [`%s`](%s/%s.md) | %s |\n", code, where, code, cell(strings.Join(titles, "; ")))
	}
	return b.String()
}

func table(b *strings.Builder, left, right string) {
	fmt.Fprintf(b, "\n| %s | %s |\n|---|---|\n", left, right)
}

// cell is text that can stand in a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(text), "\n", " "), "|", "\\|")
}
