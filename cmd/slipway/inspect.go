package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/build"
	"slipway/internal/machine"
	"slipway/internal/target/supervisor"
)

func newInspect(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect NAME",
		Short: "Show a machine's addresses, sockets, ids, limits, memory and boot time",
		Long: `Show what is known about a machine: its definition and build, addresses, published
ports, listening sockets, init, ids on the host, memory in use, bytes written since
it was built, boot time and restarts.`,
		Example: `  slipway inspect hello`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := supervisor.Find("", args[0])
			if err != nil {
				return err
			}
			d, err := m.Inspect(cmd.Context())
			if err != nil {
				return err
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(d)
			}
			rows := [][2]string{
				{"name", d.Name}, {"target", d.Target}, {"state", string(d.Record.State)}, {"reason", d.Reason}, {"definition", d.Definition}, {"build", d.Key},
				{"addresses", strings.Join(d.Addresses, " ")}, {"ports", strings.Join(d.Ports, " ")},
				{"listening", strings.Join(d.Listening, ", ")}, {"init", fmt.Sprintf("%s, pid %d on the host", d.Init, d.PID)},
				{"ids", idsText(d)},
				{"limits", limitsText(d.Limits)}, {"kept", strings.Join(d.State, " ")}, {"memory", build.Bytes(d.Memory)}, {"written", build.Bytes(d.Disk)},
				{"boot", fmt.Sprintf("%.2f s", d.Boot)}, {"restarts", fmt.Sprint(d.Restarts)},
			}
			for _, row := range rows {
				if row[1] == "" {
					continue
				}
				if _, err := fmt.Fprintf(env.Stdout, "%-11s %s\n", row[0], row[1]); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// idsText says where a container's ids are on the host.
func idsText(d *supervisor.Details) string {
	if d.Target != "container" {
		return ""
	}
	return fmt.Sprintf("root is %d on the host, %d ids", d.IDs.UID, d.IDs.Count)
}

// limitsText names the limits that are set.
func limitsText(l machine.Limits) string {
	var words []string
	if l.Memory > 0 {
		words = append(words, build.Bytes(int64(l.Memory))+" of memory")
	}
	if l.CPUs > 0 {
		words = append(words, fmt.Sprintf("%g processors", l.CPUs))
	}
	if l.Tasks > 0 {
		words = append(words, fmt.Sprintf("%d tasks", l.Tasks))
	}
	return strings.Join(words, ", ")
}
