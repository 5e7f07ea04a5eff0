package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/build"
	"slipway/internal/machine"
	"slipway/internal/target/export"
)

// exportFlags are the flags of export.
type exportFlags struct {
	buildFlags
	libvirt, nspawn, ansible bool
	opt                      export.Options
}

func newExport(env *Env) *cobra.Command {
	var flags exportFlags
	cmd := &cobra.Command{
		Use:   "export FILE --libvirt | --nspawn [-o DIR], or export DIR --ansible [-o FILE]",
		Short: "Hand machines over to libvirt, systemd-nspawn or Ansible",
		Long: `Write a machine and its description for another manager into a folder, and print
the commands that take it over.

--libvirt writes a disk, kernel, initramfs and a domain for virsh define: with
direct kernel boot (or the firmware of --firmware), processors and their pinning,
memory, disks, network cards on vm.bridge, shares, TPM and a serial console.
--nspawn writes a raw disk, its settings, and a drop-in with the limits, for
machinectl start.
--ansible writes the inventory of all machines of a folder, or of one definition,
to standard output or into a file: how each is reached (its address, the user who
may become root), and groups by system, release and kind.`,
		Example: `  slipway export auth.yaml --libvirt -o /var/lib/libvirt/images
  slipway export web.yaml --nspawn -o /srv/export
  slipway export fleet/ --ansible -o inventory.yaml`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if count(flags.libvirt, flags.nspawn, flags.ansible) != 1 {
				return usageError("choose one of --libvirt, --nspawn and --ansible")
			}
			if flags.ansible {
				return env.inventory(args[0], flags.opt.Dir)
			}
			return env.export(cmd.Context(), args[0], flags)
		},
	}
	cmd.Flags().BoolVar(&flags.libvirt, "libvirt", false, "write a domain of libvirt")
	cmd.Flags().BoolVar(&flags.nspawn, "nspawn", false, "write an image and settings of systemd-nspawn")
	cmd.Flags().BoolVar(&flags.ansible, "ansible", false, "write an inventory of Ansible")
	cmd.Flags().StringVarP(&flags.opt.Dir, "output", "o", "", "`DIR` of the files (default: one named like the machine), or the inventory's file")
	cmd.Flags().StringVar(&flags.opt.Format, "format", "qcow2", "`FORMAT` of libvirt's disk: qcow2 or raw")
	cmd.Flags().StringVar(&flags.opt.Firmware, "firmware", "kernel", "what starts a domain: `kernel` (directly), uefi or bios")
	cmd.Flags().BoolVar(&flags.opt.Emulate, "emulate", false, "a domain that runs without KVM")
	flags.add(cmd)
	return streaming(env, profiling(env, cmd))
}

func (e *Env) export(ctx context.Context, file string, flags exportFlags) error {
	if f := flags.opt.Format; f != "qcow2" && f != "raw" {
		return usageError("--format %s: want qcow2 or raw", f)
	}
	if f := flags.opt.Firmware; f != "kernel" && f != "uefi" && f != "bios" {
		return usageError("--firmware %s: want kernel, uefi or bios", f)
	}
	d, b, err := e.open(file)
	if err != nil {
		return err
	}
	if flags.opt.Dir == "" {
		flags.opt.Dir = d.Name
	}
	flags.opt.Build = flags.options("")
	var write func(context.Context, *build.Builder, *machine.Definition, export.Options) (*export.Result, error) = export.Nspawn
	if flags.libvirt {
		write = export.Libvirt
	}
	result, err := write(ctx, b, d, flags.opt)
	if err != nil {
		return err
	}
	for _, note := range result.Notes {
		e.reporter().Note(note)
	}
	if e.opt.json {
		return json.NewEncoder(e.Stdout).Encode(struct {
			Event   string `json:"event"`
			Machine string `json:"machine"`
			*export.Result
		}{"exported", d.Name, result})
	}
	_, err = fmt.Fprintf(e.Stdout, "%s\n", strings.Join(result.Commands, "\n"))
	return err
}
