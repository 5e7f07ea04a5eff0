package build

import (
	"context"
	"fmt"

	"slipway/internal/boot"
	"slipway/internal/image"
	"slipway/internal/image/disk"
	"slipway/internal/machine"
)

// StickData is the name of the partition with what a stick carries.
const StickData = "slipway-image"

// Stick lays out a stick that starts the kernel of a machine with an initramfs
// for the network. data is what it carries beside; it may be nil.
func (b *Builder) Stick(ctx context.Context, r *Result, menu *boot.StickMenu, data image.Volume) (*Disk, error) {
	d := r.Prepared.Definition
	const mega = 1 << 20
	layout := machine.Disk{Table: "gpt", SectorSize: 512, Partitions: []machine.Partition{
		{Use: "bios", Size: mega, Name: "bios"}, {Use: "esp", Filesystem: "vfat", Name: "esp", Label: "SLIPWAY"},
	}}
	if data != nil {
		layout.Partitions = append(layout.Partitions, machine.Partition{Use: "raw", Name: StickData, Size: machine.Size((data.Size() + mega - 1) / mega * mega)})
	}
	seed := "stick " + seed(d)
	slots, err := disk.Identify(layout, seed, d.Arch)
	if err != nil {
		return nil, err
	}
	booted, err := b.assembleWith(ctx, r, boot.Stick, layout.Table, slots, menu)
	if err != nil {
		return nil, err
	}
	size := int64(disk.MinESP)
	if t := booted.Trees[1]; t != nil {
		size = max(size, t.Size()+t.Size()/16+8*mega)
	}
	layout.Partitions[1].Size = machine.Size((size + mega - 1) / mega * mega)
	fill := b.volumes(r, slots, booted)
	laid, err := disk.Plan(ctx, disk.Request{
		Layout: layout, Seed: seed, Arch: d.Arch, Epoch: r.Prepared.Lock.Date.Unix(), NoRoot: true,
		Volume: func(ctx context.Context, s disk.Slot, opt image.VolumeOptions) (image.Volume, error) {
			if s.Use == "raw" {
				return data, nil
			}
			return fill(ctx, s, opt)
		},
		Boot: func(_ context.Context, _ []disk.Slot, core, _ int64) (disk.BootCode, error) {
			code, image, err := booted.BIOS.Place(core)
			return disk.BootCode{MBR: code, Core: image}, err
		},
	})
	if err != nil {
		return nil, fmt.Errorf("laying out the stick: %w", err)
	}
	return &Disk{Volume: laid, Slots: laid.Slots, Boot: booted}, nil
}
