package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/lab"
	"slipway/internal/sandbox"
)

func newDoctor(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what this host can and cannot do, each with its one-line fix",
		Long: `Try everything that slipway needs of this host and say for each whether it works,
and if not the one line that cures it. For foreign programs it says which are
this host's own and which slipway unpacks for itself; it fetches none.`,
		Example: `  slipway doctor`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			host, _ := sandbox.Detect() // what is missing is among the checks
			dir, err := env.storeDir()
			if err != nil {
				return err
			}
			kept := storeCheck(dir) // makes the folder, in which others try
			checks := host.Checks(cmd.Context(), dir)
			if checks[0].OK { // without user namespaces there is no lab to try
				checks = append(checks, lab.Checks(cmd.Context(), host)...)
			}
			checks = append(checks, kept)
			if kept.OK {
				checks = append(checks, toolChecks(cmd.Context(), dir)...)
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(checks)
			}
			for _, c := range checks {
				mark := "ok "
				if !c.OK {
					mark = "no "
				}
				if _, err := fmt.Fprintf(env.Stdout, "%s %-28s %s\n", mark, c.Name, strings.ReplaceAll(c.Detail, "\n", "; ")); err != nil {
					return err
				}
				if !c.OK && c.Fix != "" {
					if _, err := fmt.Fprintf(env.Stdout, "    fix: %s\n", c.Fix); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}
