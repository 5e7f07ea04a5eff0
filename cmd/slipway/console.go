package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"slipway/internal/target/supervisor"
)

func newConsole(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "console NAME",
		Short: "Connect this terminal with a machine's console (ctrl-] leaves it)",
		Long: `Connect this terminal with the machine's console, on which its getty offers a
login. ctrl-] leaves it; the machine goes on.`,
		Example: `  slipway console hello`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, ok := env.Stdin.(*os.File)
			if !ok || !isTerminal(in) {
				return errors.New("console needs a terminal; slipway logs --console prints what was written")
			}
			m, err := supervisor.Find("", args[0])
			if err != nil {
				return err
			}
			return m.Console(cmd.Context(), in)
		},
	}
}
