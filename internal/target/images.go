package target

import (
	"context"
	"sync"

	"slipway/internal/boot"
	"slipway/internal/build"
	"slipway/internal/machine"
	"slipway/internal/target/supervisor"
)

// Images makes images with a builder, and finds its programs among its tools.
type Images struct {
	Builder *build.Builder

	slow sync.Once // how slow machines are is said once
}

var _ Imager = (*Images)(nil)

// Boot makes what a machine starts from on a target. All targets with a disk
// have the same one, as long as it has a loader.
func (i *Images) Boot(ctx context.Context, d *machine.Definition, r *build.Result, target string) (*supervisor.Boot, error) {
	b := i.Builder
	programs, err := i.programs(ctx, d)
	if err != nil {
		return nil, err
	}
	made, err := b.Boot(ctx, r, imageFor(d, target))
	if err != nil {
		return nil, err
	}
	for _, w := range made.Warnings {
		b.Progress.Note(w)
	}
	out := &supervisor.Boot{Key: made.Key, Disk: made.Disk, DiskSize: made.DiskSize, Memory: made.Memory, QEMU: programs}
	out.State = supervisor.Span{Offset: made.StateOffset, Length: made.StateLength}
	switch target {
	case "uefi", "bios", "uboot":
		out.Firmware = target
		return out, nil
	case "netboot":
		out.Firmware = d.Netboot.FirmwareName()
		if out.Loaders, err = b.Tools.IPXE(ctx); err != nil {
			return nil, err
		}
	}
	out.Kernel, out.Initrd, out.Cmdline = made.Kernel, made.Initrd, made.Cmdline
	return out, nil
}

// imageFor is the image that a target starts.
func imageFor(d *machine.Definition, target string) boot.Target {
	switch {
	case target == "ram", target == "netboot" && d.Netboot.RAM():
		return boot.RAM
	case d.NoDisk():
		return boot.VM
	}
	return boot.Disk
}
