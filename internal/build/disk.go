package build

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"

	"slipway/internal/boot"
	"slipway/internal/bootfiles"
	"slipway/internal/distro/minted"
	"slipway/internal/guest"
	"slipway/internal/image"
	"slipway/internal/image/disk"
	"slipway/internal/image/formats"
	"slipway/internal/machine"
	"slipway/internal/tree"
)

// DiskOptions say what a machine's disk is made for.
type DiskOptions struct {
	Size   int64 // bytes of the disk; 0: what the definition says
	Sector int   // bytes of its sectors; 0: what the definition says
	Target boot.Target
}

// Disk is a machine's disk, laid out but not written.
type Disk struct {
	image.Volume
	Slots []disk.Slot // the partitions
	Boot  *boot.Result
}

// freeRoom is what stays free in a root that has no size: enough to log and to
// update a little. A disk that is larger gives more at the first boot.
const freeRoom = 256 << 20

// Disk lays out the disk of a bootable tree.
func (b *Builder) Disk(ctx context.Context, r *Result, opt DiskOptions) (*Disk, error) {
	d := r.Prepared.Definition
	layout := d.Layout()
	if opt.Size != 0 {
		layout.Size = machine.Size(opt.Size)
	}
	if opt.Sector != 0 {
		layout.SectorSize = opt.Sector
	}
	slots, err := disk.Identify(layout, seed(d), d.Arch)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.At("disk"), err)
	}
	if opt.Target == "" {
		opt.Target = boot.Disk
	}
	booted, err := b.assemble(ctx, r, opt.Target, layout.Table, slots)
	if err != nil {
		return nil, err
	}
	request := disk.Request{
		Layout: layout, Seed: seed(d), Arch: d.Arch, Epoch: r.Prepared.Lock.Date.Unix(), Free: freeRoom,
		Volume: b.volumes(r, slots, booted),
	}
	if booted.BIOS != nil {
		request.Boot = func(_ context.Context, _ []disk.Slot, core, _ int64) (disk.BootCode, error) {
			code, image, err := booted.BIOS.Place(core)
			return disk.BootCode{MBR: code, Core: image}, err
		}
	}
	if request.Blobs, err = b.blobs(ctx, r, d, layout); err != nil {
		return nil, err
	}
	laid, err := disk.Plan(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.At("disk"), err)
	}
	return &Disk{Volume: laid, Slots: laid.Slots, Boot: booted}, nil
}

// Existing is a partition that is there already.
type Existing struct {
	Name     string // in the table
	Size     int64
	PartUUID string
}

// Filled is a partition of the definition and what belongs into it.
type Filled struct {
	disk.Slot
	Volume image.Volume // nil: no file system, or content that lasts
}

// Fill lays out what belongs into partitions that exist; each of the
// definition is found by its name. The order is the definition's.
func (b *Builder) Fill(ctx context.Context, r *Result, existing []Existing) ([]Filled, *boot.Result, error) {
	d := r.Prepared.Definition
	layout := d.Layout()
	slots, err := disk.Identify(layout, seed(d), d.Arch)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", d.At("disk"), err)
	}
	for i := range slots {
		s := &slots[i]
		found := slices.IndexFunc(existing, func(e Existing) bool { return e.Name == s.Name })
		if found < 0 {
			return nil, nil, fmt.Errorf("%s: no partition of the disk is named %q; give the partition that name, or write the disk anew", d.At("disk"), s.Name)
		}
		s.PartUUID, s.Length = existing[found].PartUUID, existing[found].Size
	}
	booted, err := b.assemble(ctx, r, boot.Disk, layout.Table, slots)
	if err != nil {
		return nil, nil, err
	}
	fill := b.volumes(r, slots, booted)
	out := make([]Filled, len(slots))
	for i, s := range slots {
		out[i].Slot = s
		if s.Filesystem == "" && s.Use != "raw" {
			continue
		}
		out[i].Volume, err = fill(ctx, s, image.VolumeOptions{
			Size: s.Length, Sector: layout.SectorSize, UUID: s.ID, Label: s.Label, Epoch: r.Prepared.Lock.Date.Unix(),
		})
		if err != nil {
			return nil, nil, fmt.Errorf("%s: filling the partition %s: %w", d.At("disk"), s.Name, err)
		}
	}
	return out, booted, nil
}

// seed is what the identifiers of a machine's disk follow from.
func seed(d *machine.Definition) string { return d.Name + " " + d.System + " " + d.Arch }

// assemble makes a built tree bootable.
func (b *Builder) assemble(ctx context.Context, r *Result, target boot.Target, table string, slots []disk.Slot) (*boot.Result, error) {
	return b.assembleWith(ctx, r, target, table, slots, nil)
}

func (b *Builder) assembleWith(ctx context.Context, r *Result, target boot.Target, table string, slots []disk.Slot, stick *boot.StickMenu) (*boot.Result, error) {
	d := r.Prepared.Definition
	layer, err := b.Store.Layer(r.Key)
	if err != nil {
		return nil, err
	}
	m, err := layer.Manifest()
	if err != nil {
		return nil, err
	}
	request := boot.Request{
		Definition: d, Manifest: m, Content: layer.Content(), Target: target, Table: table, Sector: d.Disk.SectorSize,
		Mint: mintTable(), Plan: b.plan, Cache: bootCache{b.Store}, Epoch: r.Prepared.Lock.Date.Unix(), Stick: stick,
	}
	if b.Tools != nil {
		request.Tools = b.Tools
	}
	for _, s := range slots {
		request.Partitions = append(request.Partitions, boot.Partition{Partition: s.Partition, UUID: s.UUID, PartUUID: s.PartUUID})
	}
	if request.Helper, err = guest.Program(d.Arch); err != nil {
		return nil, err
	}
	return boot.Assemble(ctx, request)
}

func mintTable() []bootfiles.Mint {
	var out []bootfiles.Mint
	for _, k := range minted.Kinds {
		if len(k.Command) > 0 {
			out = append(out, bootfiles.Mint{Path: k.Path, Needs: k.Needs, Command: k.Command})
		}
	}
	return out
}

// plan lays out a file system: natively, or by its own tools where slipway has
// nothing of its own.
func (b *Builder) plan(ctx context.Context, filesystem string, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (image.Volume, error) {
	if !formats.Native(filesystem) && b.Foreign != nil {
		return b.Foreign(ctx, filesystem, m, c, opt)
	}
	return formats.Plan(ctx, filesystem, m, c, opt)
}

// volumes fills the partitions of a disk with what makes the machine boot.
func (b *Builder) volumes(r *Result, slots []disk.Slot, booted *boot.Result) disk.VolumeFunc {
	return func(ctx context.Context, s disk.Slot, opt image.VolumeOptions) (image.Volume, error) {
		if s.Use == "raw" {
			return b.source(ctx, r, s.From, 0)
		}
		m, c := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755, MTime: opt.Epoch}}}, tree.Content(tree.Bytes{})
		for i := range slots {
			if slots[i].Number == s.Number && booted.Trees[i] != nil {
				m, c = booted.Trees[i], booted.Content
			}
		}
		opt.Subvolumes = s.Subvolumes
		return b.plan(ctx, s.Filesystem, m, c, opt)
	}
}

func blobName(from *machine.From) string {
	switch {
	case from.URL != "":
		return path.Base(from.URL)
	case from.Tree != "":
		return path.Base(from.Tree)
	}
	return filepath.Base(from.File)
}

func (b *Builder) blobs(ctx context.Context, r *Result, d *machine.Definition, layout machine.Disk) ([]disk.Blob, error) {
	var out []disk.Blob
	for i, blob := range layout.Blobs {
		v, err := b.source(ctx, r, blob.From, int64(blob.Skip))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.At(fmt.Sprintf("disk.blobs.%d", i)), err)
		}
		out = append(out, disk.Blob{Name: blobName(blob.From), Offset: int64(blob.Offset), Content: v})
	}
	return out, nil
}

// source opens raw content: from outside the definition, or a file of the tree.
func (b *Builder) source(ctx context.Context, r *Result, from *machine.From, skip int64) (image.Volume, error) {
	if from.Tree != "" {
		return b.treeFile(r, from.Tree, skip)
	}
	path, err := b.From(ctx, from)
	if err != nil {
		return nil, err
	}
	return disk.OpenFile(path, skip)
}
