package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/target/supervisor"
)

func newReset(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "reset NAME",
		Short: "Restart a machine in its built state; only state: paths are kept",
		Long: `Restart a machine and throw away everything that it has written since it was built,
but for what state: names.`,
		Example: `  slipway reset hello`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := supervisor.Find("", args[0])
			if err != nil {
				return err
			}
			if err := m.Restart(cmd.Context(), true); err != nil {
				return err
			}
			m, err = m.WaitReady(cmd.Context())
			if err != nil {
				return err
			}
			if !m.Running() {
				return fmt.Errorf("%s did not start again: %s", m.Name, m.Reason)
			}
			_, err = fmt.Fprintf(env.Stdout, "%s is as it was built\n", m.Name)
			return err
		},
	}
}
