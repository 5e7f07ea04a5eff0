package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/probe"
	"slipway/internal/target"
)

func newUp(env *Env) *cobra.Command {
	var flags buildFlags
	var on string
	var keep, replace bool
	cmd := &cobra.Command{
		Use:   "up FILE",
		Short: "Build if needed, start, wait for the probes, print the proof, leave it running",
		Long: `Make the machine of a definition run as the file says now, and prove it.
Again: when nothing changed it is left alone; otherwise what restarts is said.
On container it is a container; on vm a virtual machine whose kernel is started
directly; on uefi and bios one whose disk boots under that firmware; on ram one
that lives in memory alone.
Exit status 3 means that a probe failed; the machine stays up for a look.`,
		Example: `  slipway up gallery/hello.yaml
  slipway up gallery/hello.yaml --on vm`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := target.CheckTarget(on); err != nil {
				return usageError("%v", err)
			}
			d, err := env.load(args[0])
			if err != nil {
				return err
			}
			prover, err := env.prover()
			if err != nil {
				return err
			}
			proof, err := prover.Up(cmd.Context(), d, target.UpOptions{
				Build: flags.options(""), On: on, Keep: keep, Replace: replace,
			})
			return env.finish(proof, err)
		},
	}
	cmd.Flags().StringVar(&on, "on", "container", "`TARGET`: "+strings.Join(target.Names, ", "))
	cmd.Flags().BoolVar(&keep, "keep", false, "keep what the machine writes for the next start of the same build with --keep")
	cmd.Flags().BoolVar(&replace, "replace", false, "take the place of a running machine of this name, and throw away what --keep kept")
	flags.add(cmd)
	return streaming(env, profiling(env, cmd))
}

func (e *Env) prover() (*target.Prover, error) {
	b, err := e.builder()
	if err != nil {
		return nil, err
	}
	return &target.Prover{Builder: b, Progress: e.reporter(), Imager: &target.Images{Builder: b}}, nil
}

// writeProof writes one target as a table, several side by side.
func writeProof(w io.Writer, proof *probe.Proof) error {
	if len(proof.Targets) > 1 {
		return probe.WriteMatrix(w, proof)
	}
	return probe.WriteTable(w, proof)
}

// shortened is an error without what it quotes, which the proof shows.
func shortened(err error) error {
	first, _, more := strings.Cut(err.Error(), "\n")
	if !more {
		return err
	}
	return errors.New(strings.TrimSuffix(first, "; the console's last lines:"))
}

// finish prints a proof and turns a failed probe into exit status 3.
func (e *Env) finish(proof *probe.Proof, err error) error {
	if proof == nil {
		return err
	}
	e.reporter().Close()
	if e.opt.json {
		line := struct {
			Event string `json:"event"`
			*probe.Proof
		}{"proof", proof}
		if encodeErr := json.NewEncoder(e.Stdout).Encode(line); encodeErr != nil {
			return encodeErr
		}
	} else if tableErr := writeProof(e.Stdout, proof); tableErr != nil {
		return tableErr
	}
	if err != nil {
		return shortened(err)
	}
	if !proof.OK() {
		return &statusError{exitProbe, fmt.Errorf("%s is not proved", proof.Machine)}
	}
	return nil
}
