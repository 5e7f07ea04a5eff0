// Package disk puts a whole disk together: a partition table around volumes,
// a boot loader's code where a BIOS looks for it, and raw bytes at fixed
// places.
//
// It decides where everything lies and how it is called; what fills a
// partition comes from the caller, who gets to know its size and identifiers
// first. Nothing here knows a file system, but for the header of a swap
// partition. The bytes depend on the Request alone.
//
//	slots, err := disk.Identify(layout, seed, arch) // for fstab and loader entries
//	d, err := disk.Plan(ctx, disk.Request{...})     // sizes and volumes
//	err = d.Write(ctx, w)
package disk

import (
	"context"
	"fmt"
	"io"

	"slipway/internal/image"
	"slipway/internal/image/partition"
	"slipway/internal/machine"
)

// MinESP is the smallest ESP: below it there are too few clusters of 512
// bytes for a FAT32, which is what firmware reads.
const MinESP = 33 << 20

// Slot is one partition, or the file system of a disk without a table.
type Slot struct {
	machine.Partition // as the layout has it; the label as the file system has it

	Number   int      // in the table, from 1; 0 without a table
	ID       [16]byte // for image.VolumeOptions.UUID
	UUID     string   // as UUID= and blkid name the file system; empty: it has none
	PartUUID string   // as PARTUUID= names the partition; empty without a table

	// Where it lies, in bytes. Zero before it is known.
	Offset, Length int64
}

// String names the slot in messages.
func (s *Slot) String() string {
	if s.Number == 0 {
		return "the " + s.Use
	}
	return fmt.Sprintf("partition %d (%s)", s.Number, s.Use)
}

// VolumeFunc makes what fills a slot: the one named by use for esp, boot, root
// and raw, an empty one for state and data. It is asked once for each, but for
// swap and bios. With a Size of 0 in the options it takes what it needs, and
// Free.
type VolumeFunc func(ctx context.Context, s Slot, opt image.VolumeOptions) (image.Volume, error)

// BootCode is what a BIOS starts.
type BootCode struct {
	MBR []byte // at most 440 bytes of the first sector
	// Core is what MBR loads: in the BIOS boot partition of a GPT, behind the
	// first sector of an MBR.
	Core []byte
}

// BootFunc makes the boot code for a disk whose places are known; core is the
// offset of Core on the disk, and room the bytes there are for it.
type BootFunc func(ctx context.Context, slots []Slot, core, room int64) (BootCode, error)

// Blob is raw bytes at an offset of the disk.
type Blob struct {
	Name    string // for messages
	Offset  int64
	Content image.Volume
}

// Request is all that a disk is made of.
type Request struct {
	Layout machine.Disk // filled, as Definition.Layout returns it
	Seed   string       // all UUIDs follow from it and from roles
	Arch   string       // decides the type of the root
	Epoch  int64        // as in image.Options
	Free   int64        // bytes that stay free in a boot or root that has no size
	Volume VolumeFunc
	Boot   BootFunc // nil: no BIOS starts the disk
	Blobs  []Blob   // the contents of Layout.Blobs, in its order
	NoRoot bool     // no machine lives on it: a stick that starts something
}

// Disk is a disk that was laid out. It is a Volume itself.
type Disk struct {
	Slots []Slot
	Table *partition.Table // nil without one

	size     int64
	segments []segment // sorted, without overlap
}

var _ image.Volume = (*Disk)(nil)

// Size implements image.Volume.
func (d *Disk) Size() int64 { return d.size }

// Plan lays out a disk. A layout that cannot be is an error that names what
// is in the way, and what would help.
func Plan(ctx context.Context, r Request) (*Disk, error) {
	d, err := plan(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("laying out the disk: %w", err)
	}
	return d, nil
}

func plan(ctx context.Context, r Request) (*Disk, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	slots, table, err := identify(r.Layout, r.Seed, r.Arch)
	if err != nil {
		return nil, err
	}
	p := &planner{Request: &r, disk: &Disk{Slots: slots, Table: table}, volumes: make([]image.Volume, len(slots))}
	for _, step := range []func(context.Context) error{p.natural, p.place, p.fill, p.boot, p.assemble} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return p.disk, nil
}

// Write implements image.Volume.
func (d *Disk) Write(ctx context.Context, w io.Writer) error {
	out := &image.Counter{W: w}
	for _, s := range d.segments {
		if err := image.Hole(out, s.start-out.N); err != nil {
			return fmt.Errorf("writing the disk: %w", err)
		}
		if err := s.content.Write(ctx, out); err != nil {
			return fmt.Errorf("writing %s: %w", s.name, err)
		}
		if want := s.start + s.content.Size(); out.N != want {
			return fmt.Errorf("writing %s: it ends at %d, and not at %d", s.name, out.N, want)
		}
	}
	if err := image.Hole(out, d.size-out.N); err != nil {
		return fmt.Errorf("writing the disk: %w", err)
	}
	return nil
}
