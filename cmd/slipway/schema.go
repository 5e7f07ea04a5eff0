package main

import (
	"github.com/spf13/cobra"

	"slipway/internal/machine"
)

func newSchema(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the definition, for editors",
		Long: `Print the JSON Schema of the definition. Editors with a YAML language server use it
to complete and check keys, when a definition begins with the line

  # yaml-language-server: $schema=./slipway.schema.json`,
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
