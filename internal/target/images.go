package target

import (
	"context"
	"encoding/json"
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
	if target == "netboot" && (!d.Netboot.RAM() || d.Netboot.Small()) {
		return i.fetched(ctx, d, r, programs)
	}
	made, err := i.make(ctx, r, imageFor(d, target))
	if err != nil {
		return nil, err
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

func (i *Images) make(ctx context.Context, r *build.Result, target boot.Target) (*build.Boot, error) {
	made, err := i.Builder.Boot(ctx, r, target)
	if err != nil {
		return nil, err
	}
	for _, w := range made.Warnings {
		i.Builder.Progress.Note(w)
	}
	return made, nil
}

// fetched makes what a machine of a boot server starts from that fetches the
// rest, and that rest.
func (i *Images) fetched(ctx context.Context, d *machine.Definition, r *build.Result, programs json.RawMessage) (*supervisor.Boot, error) {
	kind := boot.NetRoot
	if !d.Netboot.RAM() {
		kind = boot.Disk
	}
	rest, err := i.make(ctx, r, kind)
	if err != nil {
		return nil, err
	}
	start, err := i.make(ctx, r, boot.Net)
	if err != nil {
		return nil, err
	}
	out := &supervisor.Boot{
		Key: rest.Key, Kernel: start.Kernel, Initrd: start.Initrd, Cmdline: start.Cmdline, Firmware: d.Netboot.FirmwareName(),
		Fetch: rest.Disk, DiskSize: rest.DiskSize, Memory: rest.Memory, QEMU: programs,
	}
	if kind == boot.NetRoot {
		out.Fetch = rest.Root
	}
	out.Loaders, err = i.Builder.Tools.IPXE(ctx)
	return out, err
}

// imageFor is the image that a target starts.
func imageFor(d *machine.Definition, target string) boot.Target {
	switch {
	case target == "ram", target == "netboot":
		return boot.RAM
	case d.NoDisk():
		return boot.VM
	}
	return boot.Disk
}
