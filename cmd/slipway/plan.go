package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/build"
	"slipway/internal/plan"
	"slipway/internal/target"
)

func newPlan(env *Env) *cobra.Command {
	var flags buildFlags
	var class string
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Say what would be fetched, built, started or restarted",
		Long: `Resolve the packages and say in plain words what build or up would do now: what is
fetched, which layers are built, what starts or restarts, and which packages a key
implied. Nothing is written but to the store. With --json:

  {"packages": [{"name", "version", "arch", "implied_by"}], "fetch_bytes": N, "steps": [...]}`,
		Example: `  slipway plan gallery/hello.yaml`,
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, b, err := env.open(args[0])
			if err != nil {
				return err
			}
			p, err := b.Prepare(cmd.Context(), d, flags.options(plan.Class(class)))
			if err != nil {
				return err
			}
			what, err := b.Plan(p)
			if err != nil {
				return err
			}
			if class == string(plan.Container) {
				what.Steps = append(what.Steps, target.StartStep("", d, p.Key()))
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(what)
			}
			_, err = fmt.Fprint(env.Stdout, build.PlanText(what))
			return err
		},
	}
	cmd.Flags().StringVar(&class, "for", string(plan.Container), "`CLASS` of packages: plain, container, bootable")
	flags.add(cmd)
	return cmd
}
