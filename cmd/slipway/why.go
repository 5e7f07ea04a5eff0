package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/plan"
)

func newWhy(env *Env) *cobra.Command {
	var flags buildFlags
	var class string
	cmd := &cobra.Command{
		Use:   "why FILE PACKAGE",
		Short: "Print the shortest chain from the definition to a package",
		Long: `Print why a package is in a machine: the machine, the package that was asked for
(or is in the base set, or that a key implied), and what each of them depends on.`,
		Example: "  slipway why web.yaml libssl3t64",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, b, err := env.open(args[0])
			if err != nil {
				return err
			}
			chain, err := b.Why(cmd.Context(), d, flags.options(plan.Class(class)), args[1])
			if err != nil {
				return err
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(chain)
			}
			_, err = fmt.Fprintln(env.Stdout, strings.Join(chain, "\n"))
			return err
		},
	}
	cmd.Flags().StringVar(&class, "for", string(plan.Container), "`CLASS` of packages: plain, container, bootable")
	flags.add(cmd)
	return cmd
}
