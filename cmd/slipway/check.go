package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/plan"
)

func newCheck(env *Env) *cobra.Command {
	var flags buildFlags
	var structure bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say everything about a definition that can be known without building",
		Long: `Check a definition: its structure, the files that it names, and its packages
against the signed indexes of the archive, which are fetched when they are absent
or stale. All problems of a file are reported at once, each with file, line and
column. Nothing is built. An invalid definition exits 1.`,
		Example: `  slipway check web.yaml
  slipway check --structure web.yaml   without network`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := env.load(args[0])
			if err != nil {
				return err
			}
			if structure || d.FromImage() { // a stock image has no packages to be looked for
				return env.checked(d.Name, 0)
			}
			b, err := env.builder()
			if err != nil {
				return err
			}
			count, err := b.Check(cmd.Context(), d, flags.options(plan.Container))
			if err != nil {
				return err
			}
			return env.checked(d.Name, count)
		},
	}
	cmd.Flags().BoolVar(&structure, "structure", false, "check the file alone, without package indexes")
	flags.add(cmd)
	return cmd
}

func (e *Env) checked(name string, packages int) error {
	if e.opt.json {
		return json.NewEncoder(e.Stdout).Encode(map[string]any{"machine": name, "ok": true, "packages": packages})
	}
	if packages == 0 {
		_, err := fmt.Fprintf(e.Stdout, "%s: the definition is well formed\n", name)
		return err
	}
	_, err := fmt.Fprintf(e.Stdout, "%s: ok, %d packages\n", name, packages)
	return err
}
