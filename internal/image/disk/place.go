package disk

import (
	"context"
	"errors"
	"fmt"

	"slipway/internal/image"
	"slipway/internal/image/partition"
	"slipway/internal/machine"
)

// boards load from the beginning of a disk: partitions begin behind what lies
// there.
const boards = 16 << 20

// planner goes from a request to a disk.
type planner struct {
	*Request
	disk    *Disk
	volumes []image.Volume // of the slots; nil until it is asked for
	code    BootCode
	core    int64 // where its Core lies
}

func align(n int64) int64 { return (n + partition.Align - 1) / partition.Align * partition.Align }

// natural asks for the volumes of slots without a size, which are as large as
// what they hold. The one that grows waits when the size of the disk is known.
func (p *planner) natural(ctx context.Context) error {
	for i := range p.disk.Slots {
		s := &p.disk.Slots[i]
		s.Length = int64(s.Size)
		grows := s.Grow && p.Layout.Size > 0
		if s.Length > 0 || grows {
			continue
		}
		v, err := p.volume(ctx, i, 0, p.Free)
		if err != nil {
			return err
		}
		s.Length = align(v.Size())
		if s.Use == "esp" && s.Length < MinESP {
			s.Length = MinESP // laid out again, as a FAT32
		} else {
			p.volumes[i] = v
		}
	}
	return nil
}

// volume asks for what fills a slot.
func (p *planner) volume(ctx context.Context, i int, size, free int64) (image.Volume, error) {
	s := p.disk.Slots[i]
	switch s.Use {
	case "swap":
		return newSwap(size, s.ID, s.Label)
	case "bios":
		return nil, nil
	}
	opt := image.VolumeOptions{Size: size, Sector: p.Layout.SectorSize, UUID: s.ID, Label: s.Label, Epoch: p.Epoch}
	writable := s.Filesystem != "squashfs" && s.Filesystem != "erofs"
	if size == 0 && writable && (s.Use == "root" || s.Use == "boot") {
		opt.Free = free
	}
	v, err := p.Volume(ctx, s, opt)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", &s, err)
	}
	return v, nil
}

// place gives each slot its offset, and the disk its size.
func (p *planner) place(context.Context) error {
	d, size := p.disk, int64(p.Layout.Size)
	if d.Table == nil {
		s := &d.Slots[0]
		if s.Length = max(s.Length, size); size == 0 {
			size = s.Length
		}
		if s.Length > size {
			return fmt.Errorf("%s has %s, and the disk %s; make disk.size at least that", s, machine.Size(s.Length), machine.Size(size))
		}
		d.size = size
		return nil
	}
	end := p.offsets()
	tail := int64(0)
	if d.Table.Kind != partition.MBR {
		tail = partition.Align // for the second copy
	}
	if size == 0 {
		size = align(max(end, p.blobsEnd()) + tail)
	}
	if left := (size - tail) / partition.Align * partition.Align; end < left {
		p.grow(left - end)
	} else if end > size-tail {
		return fmt.Errorf("the partitions need %s with the table, and the disk has %s; make disk.size at least %s or a partition smaller",
			machine.Size(align(end+tail)), machine.Size(size), machine.Size(align(end+tail)))
	}
	d.size = size
	return p.tabulate()
}

// offsets puts the slots one behind the other and returns where they end.
func (p *planner) offsets() int64 {
	at := int64(partition.Align)
	for _, b := range p.Blobs {
		if b.Offset < boards {
			at = max(at, align(b.Offset+b.Content.Size()))
		}
	}
	for i := range p.disk.Slots {
		s := &p.disk.Slots[i]
		s.Offset = at
		at = align(at + s.Length)
	}
	return at
}

func (p *planner) blobsEnd() (end int64) {
	for _, b := range p.Blobs {
		end = max(end, b.Offset+b.Content.Size())
	}
	return end
}

// grow gives what is left to the slot that takes it, and moves those behind.
func (p *planner) grow(left int64) {
	moved := int64(0)
	for i := range p.disk.Slots {
		s := &p.disk.Slots[i]
		s.Offset += moved
		if s.Grow {
			s.Length, moved = align(s.Offset+s.Length)-s.Offset+left, left
		}
	}
}

// tabulate puts the places into the table.
func (p *planner) tabulate() error {
	t := p.disk.Table
	t.Size = p.disk.size
	for i, s := range p.disk.Slots {
		if s.Length == 0 {
			return fmt.Errorf("nothing of the disk's %s is left for %s; make the disk larger", machine.Size(p.disk.size), &s)
		}
		t.Parts[i].Start, t.Parts[i].Size = s.Offset, s.Length
	}
	return nil
}

// fill asks for the volumes of slots whose size is known by now.
func (p *planner) fill(ctx context.Context) error {
	for i := range p.disk.Slots {
		s := &p.disk.Slots[i]
		if p.volumes[i] == nil {
			v, err := p.volume(ctx, i, s.Length, 0)
			if err != nil {
				return p.tooSmall(ctx, i, err)
			}
			p.volumes[i] = v
		}
		if v := p.volumes[i]; v != nil && v.Size() > s.Length {
			return p.sizes(s, v.Size(), nil)
		}
	}
	return nil
}

// tooSmall finds out whether a slot is too small for what it holds, and then
// says both figures.
func (p *planner) tooSmall(ctx context.Context, i int, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return err
	}
	v, other := p.volume(ctx, i, 0, 0)
	if other != nil || v == nil || v.Size() <= p.disk.Slots[i].Length {
		return err
	}
	return p.sizes(&p.disk.Slots[i], v.Size(), err)
}

func (p *planner) sizes(s *Slot, need int64, cause error) error {
	err := fmt.Errorf("%s has %s, and what it holds needs %s", s, machine.Size(s.Length), machine.Size(align(need)))
	if p.Layout.Size > 0 {
		err = fmt.Errorf("%w; disk.size is %s", err, p.Layout.Size)
	}
	if cause != nil {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}
