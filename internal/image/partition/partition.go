// Package partition renders and reads partition tables: GPT (UEFI
// specification, chapter 5), MBR, and hybrids of both.
//
// It knows tables alone, nothing of what is in a partition; offsets and sizes
// are bytes of the disk. Of an MBR it writes the four primary partitions, and
// reads logical ones too. The bytes depend on the Table alone.
package partition

import (
	"fmt"
	"io"
	"slices"
)

// Align is what partitions begin and end at a multiple of.
const Align = 1 << 20

// The kinds of tables.
const (
	GPT    = "gpt"
	MBR    = "msdos"
	Hybrid = "hybrid" // a GPT whose MBR names up to three of its partitions
)

// Table is a partition table.
type Table struct {
	Kind     string
	Sector   int    // bytes of a logical sector, 512 or 4096
	Size     int64  // bytes of the disk
	ID       GUID   // of the disk, GPT
	DiskID   uint32 // of the disk, MBR
	BootCode []byte // at most 440 bytes, that a BIOS starts
	Parts    []Part // in order of Number
	// Damage says what was wrong with the copy of a GPT that was not used;
	// empty when both are whole. It is only read, never written.
	Damage string
}

// Part is one partition.
type Part struct {
	Number  int // from 1
	Start   int64
	Size    int64
	Type    GUID   // GPT
	ID      GUID   // GPT
	Name    string // GPT, at most 36 characters
	Attrs   uint64 // GPT
	MBRType byte   // MBR, and of a hybrid those that its MBR names (not 0)
	Active  bool   // MBR and hybrid
}

// The attributes of a GPT partition, UEFI 5.3.3 and the Discoverable
// Partitions Specification.
const (
	AttrRequired   = 1 << 0
	AttrLegacyBoot = 1 << 2
	AttrGrow       = 1 << 59 // its file system is grown when it is mounted
	AttrReadOnly   = 1 << 60
)

// PartUUID names a partition as PARTUUID= and blkid do.
func (t *Table) PartUUID(p *Part) string {
	if t.Kind == MBR {
		return fmt.Sprintf("%08x-%02x", t.DiskID, p.Number)
	}
	return p.ID.String()
}

// First is the first byte that a partition can have.
func (t *Table) First() int64 {
	if t.Kind == MBR {
		return int64(t.Sector)
	}
	return (2 + t.entrySectors()) * int64(t.Sector)
}

// End is the byte behind the last one that a partition can have.
func (t *Table) End() int64 {
	whole := t.Size / int64(t.Sector) * int64(t.Sector)
	if t.Kind == MBR {
		return min(whole, (1<<32-1)*int64(t.Sector))
	}
	return whole - (1+t.entrySectors())*int64(t.Sector)
}

// check finds what cannot be rendered.
func (t *Table) check() error {
	if !slices.Contains([]string{GPT, MBR, Hybrid}, t.Kind) {
		return fmt.Errorf("unknown table %q: want gpt, msdos or hybrid", t.Kind)
	}
	if t.Sector != 512 && t.Sector != 4096 {
		return fmt.Errorf("sectors of %d bytes: want 512 or 4096", t.Sector)
	}
	if t.Size%int64(t.Sector) != 0 {
		return fmt.Errorf("the disk has %d bytes, which are no whole sectors of %d", t.Size, t.Sector)
	}
	if t.Size > 1<<62 || t.End() <= t.First() {
		return fmt.Errorf("a disk of %d bytes has no room for a %s table", t.Size, t.Kind)
	}
	if len(t.BootCode) > 440 {
		return fmt.Errorf("boot code of %d bytes: there is room for 440", len(t.BootCode))
	}
	if most := t.most(); len(t.Parts) > most {
		return fmt.Errorf("%d partitions: a %s table holds %d; choose gpt, or fewer", len(t.Parts), t.Kind, most)
	}
	return t.checkParts()
}

func (t *Table) most() int {
	if t.Kind == MBR {
		return 4
	}
	return entryCount
}

func (t *Table) checkParts() error {
	named := 0
	for i := range t.Parts {
		p := &t.Parts[i]
		if p.Number < 1 || p.Number > t.most() || i > 0 && p.Number <= t.Parts[i-1].Number {
			return fmt.Errorf("partition %d: numbers go up from 1 to %d", p.Number, t.most())
		}
		if (p.Start|p.Size)%int64(t.Sector) != 0 || p.Size <= 0 {
			return fmt.Errorf("partition %d: %d bytes at %d are no whole sectors of %d", p.Number, p.Size, p.Start, t.Sector)
		}
		if p.Start < t.First() || p.Size > t.End()-p.Start {
			return fmt.Errorf("partition %d: ends at %d, and partitions lie between %d and %d of a disk of %d bytes; make the disk larger",
				p.Number, p.Start+p.Size, t.First(), t.End(), t.Size)
		}
		if p.MBRType != 0 {
			named++
		}
		if t.Kind != MBR {
			if p.Type == (GUID{}) {
				return fmt.Errorf("partition %d: has no type", p.Number)
			}
			if _, err := nameUnits(p.Name); err != nil {
				return fmt.Errorf("partition %d: %w", p.Number, err)
			}
		} else if p.MBRType == 0 {
			return fmt.Errorf("partition %d: has no type", p.Number)
		}
	}
	if t.Kind == Hybrid && named > 3 {
		return fmt.Errorf("%d partitions in the MBR of a hybrid table: it holds 3 beside the GPT", named)
	}
	return t.checkOverlap()
}

func (t *Table) checkOverlap() error {
	sorted := slices.Clone(t.Parts)
	slices.SortFunc(sorted, func(a, b Part) int { return int(min(max(a.Start-b.Start, -1), 1)) })
	for i := 1; i < len(sorted); i++ {
		if a, b := &sorted[i-1], &sorted[i]; a.Start+a.Size > b.Start {
			return fmt.Errorf("partitions %d and %d overlap: one ends at %d, the other begins at %d",
				a.Number, b.Number, a.Start+a.Size, b.Start)
		}
	}
	return nil
}

// Head is what a disk begins with: its MBR and, of a GPT, the first header and
// the entries.
func (t *Table) Head() ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("making a partition table: %w", err)
	}
	if t.Kind == MBR {
		return t.mbr(), nil
	}
	return t.gptHead(), nil
}

// Tail is what a disk ends with: the second copy of a GPT, nothing of an MBR.
func (t *Table) Tail() ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("making a partition table: %w", err)
	}
	if t.Kind == MBR {
		return nil, nil
	}
	return t.gptTail(), nil
}

// WriteAt puts the table on a disk of its size: the second copy first, so that
// the first one never speaks of a copy that is not there.
func (t *Table) WriteAt(w io.WriterAt) error {
	head, err := t.Head()
	if err != nil {
		return err
	}
	tail, err := t.Tail()
	if err != nil {
		return err
	}
	if len(tail) > 0 {
		if _, err := w.WriteAt(tail, t.Size-int64(len(tail))); err != nil {
			return fmt.Errorf("writing the second copy of the partition table: %w", err)
		}
	}
	if _, err := w.WriteAt(head, 0); err != nil {
		return fmt.Errorf("writing the partition table: %w", err)
	}
	return nil
}

// Resized is the table for a disk of another size: the second copy of a GPT
// moves to the new end. The partition numbered grow (0: none) then ends at
// the next partition or at the end of the disk.
func (t *Table) Resized(size int64, grow int) (*Table, error) {
	out := *t
	out.Size, out.Damage = size/int64(t.Sector)*int64(t.Sector), ""
	out.Parts = slices.Clone(t.Parts)
	if grow != 0 {
		i := slices.IndexFunc(out.Parts, func(p Part) bool { return p.Number == grow })
		if i < 0 {
			return nil, fmt.Errorf("growing partition %d: there is none", grow)
		}
		p, end := &out.Parts[i], out.End()/Align*Align
		for _, o := range out.Parts {
			if o.Start > p.Start {
				end = min(end, o.Start)
			}
		}
		p.Size = max(p.Size, end-p.Start)
	}
	if err := out.check(); err != nil {
		return nil, fmt.Errorf("fitting the partition table to a disk of %d bytes: %w", size, err)
	}
	return &out, nil
}
