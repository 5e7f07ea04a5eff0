package main

import (
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"slipway/internal/target/supervisor"
)

func newShell(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shell NAME [CMD...]",
		Short: "Run a command or a shell in a machine, as root, in /root",
		Long: `Run CMD in a machine, without a shell of its own, as root, in /root. Without
CMD a login shell is started. A terminal is made only when input and output both
are one. Exit status: the command's; 125 when slipway itself failed.`,
		Example: "  slipway shell hello systemctl status nginx",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
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
	return cmd
}

// exitWith passes on a command's exit status without a word.
func exitWith(status int) error {
	if status == 0 {
		return nil
	}
	return &statusError{status: status}
}
