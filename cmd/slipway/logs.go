package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"slipway/internal/target/supervisor"
)

func newLogs(env *Env) *cobra.Command {
	var follow, console bool
	var lines string
	cmd := &cobra.Command{
		Use:   "logs NAME [-f]",
		Short: "Print a machine's log: the journal, else its console",
		Long: `Print a running machine's journal, else its syslog, else what its console showed.
Of a machine that has ended the console is what is left.`,
		Example: `  slipway logs hello -n 20
  slipway logs hello -f
  slipway logs hello --console`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := supervisor.Find("", args[0])
			if err != nil {
				return err
			}
			if console && lines != "" {
				return usageError("-n looks back in the journal; the console's log is printed whole")
			}
			if console || !m.Running() {
				err = m.ConsoleLog(cmd.Context(), env.Stdout, follow)
			} else {
				err = m.Logs(cmd.Context(), env.Stdout, lines, follow)
			}
			if errors.Is(err, context.Canceled) && follow {
				return nil // Ctrl-C is how following ends
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until interrupted")
	cmd.Flags().BoolVar(&console, "console", false, "what init wrote on the console")
	cmd.Flags().StringVarP(&lines, "lines", "n", "", "only the last `N` lines")
	return cmd
}
