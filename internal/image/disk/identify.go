package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"slipway/internal/image/partition"
	"slipway/internal/image/vfat"
	"slipway/internal/machine"
)

// UUID is the identifier of a role in something named by a seed. It looks
// like a random one (RFC 9562, version 4), and is the same every time.
func UUID(seed, role string) (id [16]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "slipway disk\x00%d\x00%s%s", len(seed), seed, role)
	copy(id[:], h.Sum(nil))
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Identify tells how the partitions of a layout are called, before it is
// known where they lie. The layout is one that Definition.Layout filled. The
// identifiers depend on the use of a partition, and for a use that occurs
// several times on the order of those, so they last when others are added.
func Identify(layout machine.Disk, seed, arch string) ([]Slot, error) {
	slots, _, err := identify(layout, seed, arch)
	if err != nil {
		return nil, fmt.Errorf("laying out the disk: %w", err)
	}
	return slots, nil
}

func identify(layout machine.Disk, seed, arch string) ([]Slot, *partition.Table, error) {
	var t *partition.Table
	if layout.Table != "none" {
		t = &partition.Table{Kind: layout.Table, Sector: layout.SectorSize, ID: UUID(seed, "disk")}
		if t.Kind != partition.GPT {
			id := UUID(seed, "disk")
			t.DiskID = binary.BigEndian.Uint32(id[:]) | 1 // 0 is none
		}
	}
	var slots []Slot
	seen := map[string]int{}
	for i, p := range layout.Partitions {
		s := Slot{Partition: p}
		role := p.Use
		if seen[p.Use]++; seen[p.Use] > 1 {
			role = fmt.Sprintf("%s %d", p.Use, seen[p.Use])
		}
		s.ID = UUID(seed, "file system "+role)
		if err := s.describe(); err != nil {
			return nil, nil, fmt.Errorf("partition %d (%s): %w", i+1, p.Use, err)
		}
		if t != nil {
			s.Number = i + 1
			entry, err := newEntry(t, &s, UUID(seed, "partition "+role), arch)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", &s, err)
			}
			t.Parts = append(t.Parts, entry)
			s.PartUUID = t.PartUUID(&entry)
		}
		slots = append(slots, s)
	}
	if t != nil {
		mark(t, slots)
	}
	return slots, t, nil
}

// labelRoom is how many bytes each file system has for its label.
var labelRoom = map[string]int{"ext4": 16, "xfs": 12, "btrfs": 255, "erofs": 15, "swap": 15}

// describe finds the label and the UUID that the file system will have.
func (s *Slot) describe() (err error) {
	kind := s.Filesystem
	if s.Use == "swap" {
		kind = "swap"
	}
	switch kind {
	case "vfat":
		s.UUID = vfat.ID(s.ID)
		s.Label, err = vfat.Label(s.Label)
		return err
	case "squashfs", "":
		s.Label = "" // these have none
		return nil
	}
	s.UUID = partition.GUID(s.ID).String()
	if room := labelRoom[kind]; room == 0 {
		return fmt.Errorf("unknown file system %q; choose ext4, xfs, btrfs, vfat, squashfs or erofs", kind)
	} else if len(s.Label) > room {
		return fmt.Errorf("label %q: %s has room for %d bytes", s.Label, kind, room)
	}
	return nil
}

// newEntry is a slot's entry in the table, without its place.
func newEntry(t *partition.Table, s *Slot, id [16]byte, arch string) (partition.Part, error) {
	p := partition.Part{Number: s.Number}
	kind := typeOf(s, arch)
	p.MBRType = kind.MBR
	if t.Kind != partition.MBR {
		p.Type, p.ID, p.Name = kind.GUID, id, s.Name
		if s.Grow {
			p.Attrs |= partition.AttrGrow
		}
		if s.Filesystem == "squashfs" || s.Filesystem == "erofs" {
			p.Attrs = partition.AttrReadOnly
		}
	}
	if s.Type == "" {
		return p, nil
	}
	if b, err := hex.DecodeString(s.Type); err == nil && len(b) == 1 {
		if t.Kind == partition.GPT {
			return p, fmt.Errorf("type %s: a GPT has types that are GUIDs", s.Type)
		}
		p.MBRType = b[0]
		return p, nil
	}
	g, err := partition.ParseGUID(strings.ToLower(s.Type))
	if err == nil && t.Kind == partition.MBR {
		err = fmt.Errorf("type %s: an msdos table has types of two hexadecimal digits", s.Type)
	}
	p.Type = g
	return p, err
}

func typeOf(s *Slot, arch string) partition.Type {
	switch s.Use {
	case "esp":
		return partition.ESP
	case "bios":
		return partition.BIOSBoot
	case "boot":
		return partition.XBOOTLDR
	case "root":
		return partition.Root(arch)
	case "swap":
		return partition.Swap
	case "data":
		if s.Filesystem == "vfat" {
			return partition.FAT
		}
		return partition.Data(s.Mount)
	case "raw":
		return partition.Type{GUID: partition.Linux.GUID, MBR: 0xda} // "no file system"
	}
	return partition.Linux
}

// mark says where a loader that goes by marks should look (u-boot, and some
// BIOSes): at the partition of /boot. Of a hybrid it chooses the partitions
// that the MBR names: the first three but BIOS boot and swap.
func mark(t *partition.Table, slots []Slot) {
	at, named := -1, 0
	for i := range slots {
		if slots[i].Use == "boot" || slots[i].Use == "root" && at < 0 {
			at = i
		}
		if t.Kind != partition.Hybrid {
			continue
		}
		if slots[i].Use == "bios" || slots[i].Use == "swap" || named == 3 {
			t.Parts[i].MBRType = 0
		} else {
			named++
		}
	}
	if t.Kind == partition.GPT {
		for i := range t.Parts {
			t.Parts[i].MBRType = 0
		}
	}
	if at >= 0 && t.Kind != partition.MBR {
		t.Parts[at].Attrs |= partition.AttrLegacyBoot
	}
	if at >= 0 && t.Parts[at].MBRType != 0 {
		t.Parts[at].Active = true
	}
}
