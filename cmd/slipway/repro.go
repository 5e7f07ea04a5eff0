package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/build"
	"slipway/internal/plan"
)

func newRepro(env *Env) *cobra.Command {
	var flags buildFlags
	var class string
	var formats []string
	cmd := &cobra.Command{
		Use:   "repro FILE",
		Short: "Build twice under shuffled conditions and name the first byte that differs",
		Long: `Build a definition twice, into two fresh stores, with another umask, locale,
time zone, working folder and number of processors, and compare the trees. Then
write both in every native format of the class, and compare those byte by byte.`,
		Example: `  slipway repro gallery/hello.yaml`,
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
			work, err := os.MkdirTemp(b.Store.Dir(), "repro-")
			if err != nil {
				return err
			}
			defer b.RemoveAll(work)
			var extra []string
			for _, set := range env.opt.set {
				extra = append(extra, "--set", set)
			}
			if !cmd.Flags().Changed("formats") {
				formats = build.ReproFormats(d, p.Class)
			}
			r, err := b.Repro(cmd.Context(), p, work, formats, extra)
			if err != nil {
				return err
			}
			if err := env.printRepro(r); err != nil || r.Equal {
				return err
			}
			return &statusError{status: exitFailed}
		},
	}
	cmd.Flags().StringVar(&class, "for", string(plan.Plain), "`CLASS` of packages: plain, container, bootable")
	cmd.Flags().StringSliceVar(&formats, "formats", nil, "`SUFFIXES` of images to compare (default: all native ones of the class; empty: none)")
	flags.add(cmd)
	return profiling(env, cmd)
}

func (e *Env) printRepro(r *build.Reproduction) error {
	if e.opt.json {
		return json.NewEncoder(e.Stdout).Encode(r)
	}
	fmt.Fprintf(e.Stdout, "build 1: %s\nbuild 2: %s\n", strings.Join(r.Conditions[0], ", "), strings.Join(r.Conditions[1], ", "))
	if r.Equal {
		images := ""
		if len(r.Formats) > 0 {
			images = ", and as " + strings.Join(r.Formats, " ")
		}
		_, err := fmt.Fprintf(e.Stdout, "equal: tree %s%s\n", r.Tree, images)
		return err
	}
	if r.Format != "" {
		_, err := fmt.Fprintf(e.Stdout, "not equal: the trees are, and the %s images differ from byte %d on\n", r.Format, r.Offset)
		return err
	}
	fmt.Fprintf(e.Stdout, "not equal: %d entries differ in the %s layer; the first:\n  /%s %s %v\n",
		r.Count, r.Layer, r.First.Path, r.First.Change, r.First.Attrs)
	if r.Package != "" {
		fmt.Fprintf(e.Stdout, "  package %s", r.Package)
		if r.Script != "" {
			fmt.Fprintf(e.Stdout, ", script %s", r.Script)
		}
		fmt.Fprintln(e.Stdout)
	}
	return nil
}
