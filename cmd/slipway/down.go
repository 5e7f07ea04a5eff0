package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/target/supervisor"
)

func newDown(env *Env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "down NAME... | --all",
		Short: "Stop machines and undo everything that starting them changed",
		Long: `Stop machines in order, and undo everything that starting them changed: addresses,
ports, mounts, control groups and the files that they wrote. What stays is what
state: names, and what was started with up --keep. It also clears away machines
that ended by themselves. The names are printed as they are gone.`,
		Example: `  slipway down hello
  slipway down --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("name the machines, or say --all")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			prover, err := env.prover()
			if err != nil {
				return err
			}
			if all {
				list, err := supervisor.List(prover.Runtime)
				if err != nil {
					return err
				}
				for _, m := range list {
					args = append(args, m.Name)
				}
			}
			var errs []error
			for _, name := range args {
				step := env.reporter().Step("stop " + name)
				err := prover.Down(cmd.Context(), name)
				step.Done(err)
				if err == nil && !env.opt.json {
					_, err = fmt.Fprintln(env.Stdout, name)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every machine")
	return streaming(env, cmd)
}
