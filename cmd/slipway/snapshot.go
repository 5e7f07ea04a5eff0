package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/target/supervisor"
)

// snapshotWords are what can be done with a snapshot, and how it is told.
var snapshotWords = map[string]string{
	"create":  "%s: snapshot %s is kept\n",
	"restore": "%s is as it was at snapshot %s\n",
	"delete":  "%s: snapshot %s is gone\n",
}

func newSnapshot(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "snapshot NAME [create|restore|delete TAG]",
		Short: "Keep the state of a virtual machine, and take it back there",
		Long: `Keep the whole state of a running virtual machine, memory and disk, under a tag;
take it back to one; delete one; or, without more words, list them (with --json an
array of {tag, taken, memory}). They lie in the machine's own layer over its image:
they go with it (down, reset, up --replace) and last over a restart of the machine.

A machine that was taken back goes on in the middle of what it did: its clock is
that of the snapshot until something sets it, connections over the network are
stale, and shells that are open in it end. While a snapshot is made no shell may
be open.

Containers keep none, and neither do machines that write elsewhere than to that
layer: with state:, shares:, vm.disks, without a disk (ram), booted over the network.`,
		Example: `  slipway snapshot hello create before
  slipway snapshot hello
  slipway snapshot hello restore before
  slipway snapshot hello delete before`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usageError("name a machine")
			case len(args) > 1 && snapshotWords[args[1]] == "":
				return usageError("%q is nothing to do with a snapshot: create, restore or delete", args[1])
			case len(args) == 2:
				return usageError("%s which snapshot? give its tag", args[1])
			case len(args) > 3:
				return usageError("one tag at a time")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := supervisor.Find("", args[0])
			if err != nil {
				return err
			}
			if len(args) == 1 {
				list, err := m.Snapshots(cmd.Context())
				if err != nil {
					return fmt.Errorf("listing the snapshots of %s: %w", m.Name, err)
				}
				return env.snapshots(list)
			}
			do, tag := args[1], args[2]
			if err := m.Snapshot(cmd.Context(), do, tag); err != nil {
				return fmt.Errorf("%s: %s snapshot %s: %w", m.Name, do, tag, err)
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(map[string]string{"machine": m.Name, "did": do, "tag": tag})
			}
			_, err = fmt.Fprintf(env.Stdout, snapshotWords[do], m.Name, tag)
			return err
		},
	}
}

func (e *Env) snapshots(list []supervisor.Snapshot) error {
	if e.opt.json {
		return json.NewEncoder(e.Stdout).Encode(list)
	}
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TAG\tTAKEN\tMEMORY")
	for _, s := range list {
		fmt.Fprintf(w, "%s\t%s\t%dM\n", s.Tag, s.Taken.Format(time.DateTime), (s.Memory+1<<20-1)>>20)
	}
	return w.Flush()
}
