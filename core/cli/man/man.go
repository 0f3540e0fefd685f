// Package man is runner man: it writes manual pages, made from the commands
// themselves, so that they never say anything else than -help.
package man

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cpuguy83/go-md2man/v2/md2man"

	"github.com/runner-pipelines/runner/core/cli/command"
)

// Options of the command.
type Options struct {
	Env *command.Env
	Dir string
	// Commands are those that get a page.
	Commands []*command.Command
}

// New is the command; commands lists all others, runF replaces what it does, for
// tests.
func New(env *command.Env, commands func() []*command.Command, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "man", Args: "DIR", Short: "Write manual pages", Flags: command.NewFlags("man"),
		Long: `Writes a manual page for runner and one for each command into a folder, which it makes
where there is none. To read one:
  man DIR/runner-apply.1

To have them found by name, write them into a folder of your manual path:
  runner man ~/.local/share/man/man1
  man runner-apply`,
	}
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) != 1 {
			return c.Usage("runner man takes the folder to write to.")
		}
		opts.Dir, opts.Commands = args[0], command.Visible(commands())
		return runF(ctx, opts)
	}
	return c
}

func run(_ context.Context, opts *Options) error {
	dir := opts.Env.Path(opts.Dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	pages := map[string]string{"runner": whole(opts.Env.Version, opts.Commands)}
	for _, c := range opts.Commands {
		pages["runner-"+c.Name] = page(opts.Env.Version, c)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name+".1"), md2man.Render([]byte(text)), 0o644); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(opts.Env.Stdout, "Wrote %d pages into %s.\n", len(pages), opts.Dir)
	return err
}
