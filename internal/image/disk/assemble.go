package disk

import (
	"context"
	"fmt"
	"slices"

	"slipway/internal/image"
	"slipway/internal/image/partition"
	"slipway/internal/machine"
)

// segment is a stretch of the disk that belongs to one thing.
type segment struct {
	name       string
	start, end int64
	content    image.Volume // at its start; may be shorter
}

// boot asks for the code of a BIOS, and says where it goes.
func (p *planner) boot(ctx context.Context) error {
	if p.Boot == nil {
		return nil
	}
	sector := int64(p.Layout.SectorSize)
	start, room := sector, p.disk.Slots[0].Offset-sector // between table and first partition
	if p.disk.Table.Kind == partition.MBR {
		for _, b := range p.Blobs { // up to the first blob
			if b.Offset >= start {
				room = min(room, b.Offset-start)
			}
		}
	} else {
		i := slices.IndexFunc(p.disk.Slots, func(s Slot) bool { return s.Use == "bios" })
		start, room = p.disk.Slots[i].Offset, p.disk.Slots[i].Length
	}
	code, err := p.Boot(ctx, slices.Clone(p.disk.Slots), start, room)
	if err != nil {
		return fmt.Errorf("boot code for a BIOS: %w", err)
	}
	if int64(len(code.Core)) > room {
		return fmt.Errorf("GRUB's core image has %d bytes, and there is room for %d at %d of the disk; make the bios partition larger, or move what lies behind",
			len(code.Core), room, start)
	}
	p.code, p.core = code, start
	p.disk.Table.BootCode = code.MBR
	return nil
}

// assemble lists everything by its place and refuses overlaps.
func (p *planner) assemble(context.Context) error {
	d := p.disk
	if err := p.addTable(); err != nil {
		return err
	}
	for i := range d.Slots {
		s := &d.Slots[i]
		d.add(s.String(), s.Offset, s.Length, p.slotContent(i))
	}
	if len(p.code.Core) > 0 && d.Table.Kind == partition.MBR {
		d.add("GRUB's core image", p.core, int64(len(p.code.Core)), Bytes(p.code.Core))
	}
	for _, b := range p.Blobs {
		if b.Offset < 0 || b.Content.Size() > d.size-b.Offset {
			return fmt.Errorf("blob %s: %d bytes at %d end behind the disk's %s; make disk.size larger",
				b.Name, b.Content.Size(), b.Offset, machine.Size(d.size))
		}
		d.add("blob "+b.Name, b.Offset, b.Content.Size(), b.Content)
	}
	return d.sort()
}

func (p *planner) slotContent(i int) image.Volume {
	switch {
	case p.volumes[i] != nil:
		return p.volumes[i]
	case p.disk.Slots[i].Use == "bios":
		return Bytes(p.code.Core)
	}
	return Bytes(nil)
}

func (p *planner) addTable() error {
	t := p.disk.Table
	if t == nil {
		return nil
	}
	head, err := t.Head()
	if err != nil {
		return err
	}
	tail, err := t.Tail()
	if err != nil {
		return err
	}
	p.disk.add("the partition table", 0, int64(len(head)), Bytes(head))
	p.disk.add("the second copy of the partition table", t.Size-int64(len(tail)), int64(len(tail)), Bytes(tail))
	return nil
}

func (d *Disk) add(name string, start, length int64, content image.Volume) {
	if length > 0 {
		d.segments = append(d.segments, segment{name, start, start + length, content})
	}
}

// sort orders the segments, and names the first two that overlap.
func (d *Disk) sort() error {
	slices.SortStableFunc(d.segments, func(a, b segment) int { return int(min(max(a.start-b.start, -1), 1)) })
	for i := 1; i < len(d.segments); i++ {
		if a, b := &d.segments[i-1], &d.segments[i]; a.end > b.start {
			return fmt.Errorf("%s (bytes %d to %d) and %s (bytes %d to %d) overlap; move one of them",
				a.name, a.start, a.end, b.name, b.start, b.end)
		}
	}
	return nil
}
