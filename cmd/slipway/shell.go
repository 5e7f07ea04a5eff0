package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/target/chroot"
	"slipway/internal/target/supervisor"
)

func newShell(env *Env) *cobra.Command {
	var flags buildFlags
	var tree bool
	cmd := &cobra.Command{
		Use:   "shell NAME|--tree FILE [CMD...]",
		Short: "Run a command or a shell in a machine, as root, in /root",
		Long: `Run CMD in a machine, without a shell of its own, as root, in /root. Without
CMD a login shell is started. A terminal is made only when input and output both
are one. Exit status: the command's; 125 when slipway itself failed.

With --tree nothing is booted: CMD runs in the tree of the definition FILE, which
is built if needed, as chroot would do it, with the host's network and name and
what shares: shows. What it writes elsewhere is thrown away. The flags for builds
are for --tree alone.`,
		Example: `  slipway shell hello systemctl status nginx
  slipway shell --tree gallery/hello.yaml nginx -t`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if tree {
				status, err := env.enterTree(cmd.Context(), args[0], args[1:], flags)
				if err != nil {
					return ownFailure(err)
				}
				return exitWith(status)
			}
			m, err := supervisor.Find("", args[0])
			if err != nil {
				return ownFailure(err)
			}
			c := supervisor.Command{Args: args[1:], Stdin: env.Stdin, Stdout: env.Stdout, Stderr: env.Stderr}
			if len(c.Args) == 0 {
				c.Args = []string{"/bin/sh", "-c", `exec "$(getent passwd root 2>/dev/null | cut -d: -f7 | grep . || echo /bin/sh)" -l`}
			}
			if in, ok := env.Stdin.(*os.File); ok && term.IsTerminal(int(in.Fd())) && isTerminal(env.Stdout) {
				c.Terminal = in
			}
			status, err := m.Exec(cmd.Context(), c)
			if err != nil {
				return ownFailure(err)
			}
			return exitWith(status)
		},
	}
	cmd.Flags().SetInterspersed(false) // slipway's flags end at NAME
	cmd.Flags().BoolVar(&tree, "tree", false, "run in the tree of the definition FILE, without booting it")
	flags.add(cmd)
	return cmd
}

// enterTree runs words in the tree of a definition.
func (e *Env) enterTree(ctx context.Context, file string, words []string, flags buildFlags) (int, error) {
	b, result, err := e.build(ctx, file, flags, plan.Container)
	if err != nil {
		return 0, err
	}
	e.reporter().Close()
	scratch, err := b.Store.TempDir("tree-")
	if err != nil {
		return 0, err
	}
	c := chroot.Command{Dirs: result.Dirs, Scratch: scratch, Args: words}
	for _, s := range result.Prepared.Definition.Shares {
		c.Shown = append(c.Shown, machine.Bind{Host: s.Host, Path: s.Path, ReadOnly: s.ReadOnly})
	}
	if len(words) > 0 && words[0] == "--" {
		c.Args = words[1:]
	}
	files, err := e.ownFiles()
	if err != nil {
		return 0, err
	}
	if isTerminal(files[0]) && isTerminal(files[1]) {
		c.Terminal, c.Env = true, []string{"TERM=" + os.Getenv("TERM")}
	}
	return chroot.Run(ctx, b.Host, c, files)
}

// ownFiles are the standard files of this program as files.
func (e *Env) ownFiles() (files [3]*os.File, err error) {
	for i, f := range []any{e.Stdin, e.Stdout, e.Stderr} {
		file, ok := f.(*os.File)
		if !ok {
			return files, errors.New("--tree needs files for its input and output")
		}
		files[i] = file
	}
	return files, nil
}

// exitWith passes on a command's exit status without a word.
func exitWith(status int) error {
	if status == 0 {
		return nil
	}
	return &statusError{status: status}
}
