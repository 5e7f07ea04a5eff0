package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/target/supervisor"
)

func newLs(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the machines that run or have ended by themselves",
		Long: `List machines with their state: starting, up, failed (it ended by itself, not in
order) or stopped (it powered itself off). What a killed supervisor has left is
removed before. With --json an array of
{name, target, state, since, addresses, ports, pid}; pid is the machine's init as
the host sees it.`,
		Example: `  slipway ls
  slipway ls --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := supervisor.Repair(cmd.Context(), supervisor.RuntimeDir()); err != nil {
				fmt.Fprintln(env.Stderr, "slipway:", err) // the list is true all the same
			}
			list, err := supervisor.List("")
			if err != nil {
				return err
			}
			if env.opt.json {
				records := make([]supervisor.Record, 0, len(list))
				for _, m := range list {
					records = append(records, m.Record)
				}
				return json.NewEncoder(env.Stdout).Encode(records)
			}
			w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tTARGET\tSTATE\tFOR\tADDRESSES\tPORTS")
			for _, m := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, m.Target, m.State,
					time.Since(m.Since).Round(time.Second), strings.Join(m.Addresses, " "), strings.Join(m.Ports, " "))
			}
			return w.Flush()
		},
	}
}
