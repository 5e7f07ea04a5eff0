package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/build"
	"slipway/internal/plan"
)

func newDiff(env *Env) *cobra.Command {
	var flags buildFlags
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two machines: packages, files, modes, sizes",
		Long: `Compare two machines: packages with their versions, files, modes, owners, sizes. A
and B are definitions (which are built), image files, folders, or keys of the
store. Exit status 1 when they differ.`,
		Example: `  slipway diff web.yaml web.tar
  slipway diff old.yaml new.yaml`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := env.builder()
			if err != nil {
				return err
			}
			var sides [2]*build.Side
			for i, name := range args {
				sides[i], err = b.DiffOperand(cmd.Context(), name, func(file string) (*build.Result, error) {
					d, err := env.load(file)
					if err != nil {
						return nil, err
					}
					return b.Build(cmd.Context(), d, flags.options(plan.Plain))
				})
				if err != nil {
					return err
				}
			}
			d, err := b.Compare(sides[0], sides[1])
			if err != nil {
				return err
			}
			if env.opt.json {
				err = json.NewEncoder(env.Stdout).Encode(d)
			} else {
				_, err = fmt.Fprint(env.Stdout, d.Text())
			}
			if err == nil && len(d.Files)+len(d.Packages) > 0 {
				err = &statusError{status: exitFailed}
			}
			return err
		},
	}
	flags.add(cmd)
	return cmd
}
