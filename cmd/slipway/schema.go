package main

import (
	"github.com/spf13/cobra"

	"slipway/internal/machine"
)

func newSchema(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of the definition, for editors",
		Example: "  slipway schema > slipway.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			schema, err := machine.Schema()
			if err != nil {
				return err
			}
			_, err = env.Stdout.Write(append(schema, '\n'))
			return err
		},
	}
}
