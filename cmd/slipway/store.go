package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/build"
	"slipway/internal/machine"
	"slipway/internal/sandbox"
	"slipway/internal/store"
)

func newStore(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "store",
		Short:   "Say what is kept, and where",
		Long:    `Say where the store is, how much it holds of each kind, and its size.`,
		Example: `  slipway store`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := env.openStore()
			if err != nil {
				return err
			}
			usage, err := s.Usage()
			if err != nil {
				return err
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(usage)
			}
			_, err = fmt.Fprintf(env.Stdout, "%s\n%s", s.Dir(), usageText(usage))
			return err
		},
	}
	cmd.AddCommand(newGC(env), newLog(env))
	return cmd
}

func newGC(env *Env) *cobra.Command {
	var maxSize string
	var maxAge time.Duration
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove what no machine uses, the least recently used first",
		Long: `Remove from the store what no running or kept machine uses. Without a bound
everything unused goes; with --max-size or --max-age the most recently used stays.`,
		Example: `  slipway store gc --max-size 20G`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := env.builder()
			if err != nil {
				return err
			}
			opt := store.GCOptions{MaxAge: maxAge}
			if maxSize != "" {
				size, err := machine.ParseSize(maxSize)
				if err != nil {
					return usageError("--max-size: %v", err)
				}
				opt.MaxBytes = int64(size)
			}
			report, err := b.GC(cmd.Context(), opt)
			if err != nil {
				return err
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(report)
			}
			_, err = fmt.Fprintln(env.Stdout, reportText(report))
			return err
		},
	}
	cmd.Flags().StringVar(&maxSize, "max-size", "", "keep at most this `SIZE`, as 20G")
	cmd.Flags().DurationVar(&maxAge, "max-age", 0, "keep what was used within this `TIME`, as 720h")
	return cmd
}

func newLog(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "log",
		Short: "Print the state log: every build, start, probe and stop",
		Long: `Print what was built, started, probed and stopped: time, kind and JSON, the oldest
first.`,
		Example: `  slipway store log`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := env.openStore()
			if err != nil {
				return err
			}
			records, err := s.ReadLog()
			if err != nil {
				return err
			}
			for _, r := range records {
				if _, err := fmt.Fprintf(env.Stdout, "%s %s %s\n", r.Time.Format(time.RFC3339), r.Prefix, r.Fields); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// storeCheck is doctor's line about the store.
func storeCheck(dir string) sandbox.Check {
	c := sandbox.Check{Name: "store", OK: true, Detail: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return sandbox.Check{Name: "store", Detail: err.Error(), Fix: "name a folder of your own with --store DIR"}
	}
	probe, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return sandbox.Check{Name: "store", Detail: err.Error(), Fix: "name a folder that you may write with --store DIR"}
	}
	probe.Close()
	os.Remove(filepath.Join(dir, filepath.Base(probe.Name())))
	if free := build.FreeBytes(dir); free < 2<<30 {
		c.OK, c.Detail = false, fmt.Sprintf("%s has only %s left", dir, build.Bytes(free))
		c.Fix = "free some space, or run: slipway store gc"
	}
	return c
}

func usageText(u store.Usage) string {
	return fmt.Sprintf("%-10s %6d  %s\n%-10s %6d  %s\n%-10s %6d  %s\n%-10s %6d  %s\n%-10s %6d  %s\ntotal %s\n",
		"layers", u.Layers, build.Bytes(u.LayerBytes), "packs", u.Packs, build.Bytes(u.PackBytes),
		"packages", u.Objects, build.Bytes(u.ObjectBytes), "tools", u.Tools, build.Bytes(u.ToolBytes), "temporary", u.Temporary, build.Bytes(u.TemporaryBytes),
		build.Bytes(u.Total))
}

func reportText(r store.Report) string {
	return fmt.Sprintf("removed %d things, freed %s, kept %s", len(r.Removed), build.Bytes(r.Freed), build.Bytes(r.Kept))
}
