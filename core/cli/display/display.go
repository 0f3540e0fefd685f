// Package display chooses how a command shows a run: to a program, on a
// terminal, or as plain lines.
package display

import (
	"flag"
	"path/filepath"
	"runtime"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/runner-pipelines/runner/core/cli/ci"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/live"
	"github.com/runner-pipelines/runner/core/cli/paint"
	"github.com/runner-pipelines/runner/core/cli/view"
)

// Options of the choice.
type Options struct {
	JSON, NoColor bool
}

// Flags adds them to a command.
func (o *Options) Flags(fs *flag.FlagSet) {
	fs.BoolVar(&o.JSON, "json", false, "one JSON object a line")
	fs.BoolVar(&o.NoColor, "no-color", false, "no colours; so does the environment variable NO_COLOR")
}

// New is the view for a command's standard output; dir is the pipeline's.
func New(env *command.Env, dir string, o Options) view.View {
	switch {
	case o.JSON:
		return view.NewJSON(env.Stdout)
	case drawable(env):
		return live.New(live.Options{
			In: env.Stdin, Lines: env.Stdout, Terminal: env.Terminal, Environ: env.Environ, Interrupt: env.Interrupt,
			NoColor: o.NoColor || env.Getenv("NO_COLOR") != "", ASCII: !unicode(env),
		})
	}
	return ci.New(ci.Options{Out: env.Stdout, Service: Service(env), Place: Place(env, dir)})
}

// Paint is the style for what is written once: colours where the command's
// standard output is a terminal that has them.
func Paint(env *command.Env, noColor bool) paint.Style {
	if noColor || env.Getenv("NO_COLOR") != "" || env.Getenv("TERM") == "dumb" || env.Terminal == nil {
		return paint.Style{ASCII: !unicode(env)}
	}
	lipgloss.EnableLegacyWindowsANSI(env.Terminal)
	style := paint.Colours()
	style.ASCII = !unicode(env)
	return style
}

// Service is the CI service that the process runs in; nil for none that shows
// more than lines.
func Service(env *command.Env) ci.Service {
	switch {
	case env.Getenv("GITHUB_ACTIONS") == "true":
		return ci.GitHub{SummaryFile: env.Getenv("GITHUB_STEP_SUMMARY")}
	case env.Getenv("GITLAB_CI") == "true":
		return ci.GitLab{}
	}
	return nil
}

// Place turns files of the pipeline in dir into files of the checkout.
func Place(env *command.Env, dir string) func(string) string {
	root := env.Getenv("GITHUB_WORKSPACE")
	return func(file string) string {
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		if rel, err := filepath.Rel(root, file); root != "" && err == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel)
		}
		return filepath.ToSlash(file)
	}
}

// drawable reports whether the output is a terminal that can be drawn on, with
// somebody before it.
func drawable(env *command.Env) bool {
	term := env.Getenv("TERM")
	if term == "dumb" || term == "" && runtime.GOOS != "windows" || env.Getenv("CI") != "" {
		return false
	}
	return env.Interactive && env.Terminal != nil
}

// unicode reports whether the terminal says that it shows more than ASCII.
func unicode(env *command.Env) bool {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToUpper(env.Getenv(name)); v != "" {
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return false
}
