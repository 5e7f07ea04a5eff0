package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"slipway/internal/target/supervisor"
)

func newWith(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "with NAME -- CMD...",
		Short: "Run a host command in the machine's network, with names that resolve",
		Long: `Run a command of the host in the network of a machine, where it can reach every
address and port, and the names of all machines resolve. User, environment and
files are the caller's. Exit status: the command's; 125 when slipway itself
failed.`,
		Example: "  slipway with hello -- curl http://hello/",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("name a machine and a command")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := supervisor.Find("", args[0])
			if err != nil {
				return ownFailure(err)
			}
			words := args[1:]
			if words[0] == "--" {
				words = words[1:]
			}
			if len(words) == 0 {
				return usageError("name a command after --")
			}
			status, err := m.With(cmd.Context(), words, [3]*os.File{os.Stdin, os.Stdout, os.Stderr})
			if err != nil {
				return ownFailure(err)
			}
			return exitWith(status)
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}
