package build

import (
	"context"
	"fmt"
	"io"

	"slipway/internal/boot"
	"slipway/internal/image"
	"slipway/internal/image/formats"
	"slipway/internal/image/qcow2"
	"slipway/internal/machine"
	"slipway/internal/plan"
)

// OutputClass is the class of packages that an output needs.
func OutputClass(out string) plan.Class {
	if out != "" && formats.Bootable(out) {
		return plan.Bootable
	}
	return plan.Plain
}

// exportBootable writes what is more than a tree.
func (b *Builder) exportBootable(ctx context.Context, r *Result, out string, private bool) error {
	switch suffix := formats.Suffix(out); suffix {
	case ".raw", ".qcow2", ".ext4":
		if suffix == ".ext4" {
			r = bareFilesystem(r, "ext4")
		}
		disk, err := b.Disk(ctx, r, DiskOptions{})
		if err != nil {
			return err
		}
		b.noteWarnings(disk.Boot.Warnings)
		_, err = image.WriteFile(out, private, func(w io.Writer) error {
			if suffix == ".qcow2" {
				return qcow2.Write(ctx, w, disk)
			}
			return disk.Write(ctx, w)
		})
		return err
	case ".efi":
		booted, err := b.assemble(ctx, r, boot.RAM, "", nil)
		if err != nil {
			return err
		}
		b.noteWarnings(booted.Warnings)
		program, err := booted.EFI(ctx)
		if err != nil {
			return err
		}
		_, err = image.WriteFile(out, private, func(w io.Writer) error { return program.Write(ctx, w) })
		return err
	default:
		return fmt.Errorf("writing %s: nothing is known that writes %s", out, suffix)
	}
}

// bareFilesystem is the same machine on a disk that is one file system: a
// guest whose kernel comes from outside, or is started directly.
func bareFilesystem(r *Result, filesystem string) *Result {
	d := *r.Prepared.Definition
	d.Disk = machine.Disk{Size: d.Disk.Size, Table: "none", SectorSize: d.Disk.SectorSize,
		Partitions: []machine.Partition{{Use: "root", Filesystem: filesystem, Grow: true}}}
	d.Boot.Loader = "none"
	p := *r.Prepared
	p.Definition = &d
	bare := *r
	bare.Prepared = &p
	return &bare
}

func (b *Builder) noteWarnings(warnings []string) {
	for _, w := range warnings {
		b.Progress.Note(w)
	}
}
