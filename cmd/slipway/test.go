package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/probe"
	"slipway/internal/target"
)

func newTest(env *Env) *cobra.Command {
	var flags buildFlags
	var on, report, junit string
	var parallel int
	cmd := &cobra.Command{
		Use:   "test FILE",
		Short: "Build, start, prove, tear down; exit 0 only if every probe held",
		Long: `Start the machine under a name of its own, without published ports, run its
probes and take it down again, on each target. With several targets the proof is
one matrix of stages and probes with their times. Exit status 3 means that a
probe failed.`,
		Example: `  slipway test gallery/hello.yaml --report proof.json --junit proof.xml
  slipway test gallery/hello.yaml --on container,vm,uefi,bios,ram`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			targets := strings.Split(on, ",")
			for i, name := range targets {
				if err := target.CheckTarget(name); err != nil {
					return usageError("%v", err)
				}
				if slices.Contains(targets[:i], name) {
					return usageError("target %s is named twice", name)
				}
			}
			d, err := env.load(args[0])
			if err != nil {
				return err
			}
			prover, err := env.prover()
			if err != nil {
				return err
			}
			proof, err := prover.Test(cmd.Context(), d, target.TestOptions{Build: flags.options(""), On: targets, Parallel: parallel})
			if proof != nil {
				if err := writeReports(proof, report, junit); err != nil {
					return err
				}
			}
			return env.finish(proof, err)
		},
	}
	cmd.Flags().StringVar(&on, "on", "container", "`TARGETS`, separated by commas: "+strings.Join(target.Names, ", "))
	cmd.Flags().IntVar(&parallel, "parallel", 1, "try `N` targets at a time")
	cmd.Flags().StringVar(&report, "report", "", "write the proof to this `FILE` as JSON")
	cmd.Flags().StringVar(&junit, "junit", "", "write the proof to this `FILE` as JUnit XML")
	flags.add(cmd)
	return streaming(env, profiling(env, cmd))
}

func writeReports(proof *probe.Proof, report, junit string) error {
	for path, write := range map[string]func(io.Writer, *probe.Proof) error{report: probe.WriteJSON, junit: probe.WriteJUnit} {
		if path == "" {
			continue
		}
		if err := writeWhole(path, func(w io.Writer) error { return write(w, proof) }); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	return nil
}

// writeWhole replaces a file atomically.
func writeWhole(path string, write func(io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".slipway-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	err = write(tmp)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	return err
}
