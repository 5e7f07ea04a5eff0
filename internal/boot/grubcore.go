package boot

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Fields of GRUB's first sector (boot.S; include/grub/i386/pc/boot.h) and of
// the first sector of its second stage (diskboot.S).
const (
	grubSector       = 512
	grubKernelSector = 0x5c // where the second stage is, 8 bytes
	grubBootDrive    = 0x64 // 0xff: the drive that the BIOS says
	grubDriveCheck   = 0x66 // a jump, replaced on hard disks
	grubCodeEnd      = 0x1b8
	grubBlocklist    = 0x1f4 // first entry: start (8), length (2), segment (2)
	grubSegment      = 0x820 // behind the first sector of the second stage
	grubMost         = 0x78000
)

// GRUB is the part of GRUB that lies outside of file systems: code in the
// first sector of the disk, and a second stage that it loads.
type GRUB struct {
	first []byte
	core  []byte
}

func newGRUB(first, core []byte) (*GRUB, error) {
	switch {
	case len(first) != grubSector || first[510] != 0x55 || first[511] != 0xaa:
		return nil, fmt.Errorf("GRUB's boot.img is no boot sector of %d bytes", grubSector)
	case len(core) <= grubSector || len(core) > grubMost:
		return nil, fmt.Errorf("GRUB's second stage has %d bytes, want more than %d and at most %d", len(core), grubSector, grubMost)
	}
	core = append(slices.Clone(core), make([]byte, (grubSector-len(core)%grubSector)%grubSector)...)
	list := core[grubBlocklist:]
	length, segment := int(binary.LittleEndian.Uint16(list[8:])), binary.LittleEndian.Uint16(list[10:])
	if length != len(core)/grubSector-1 || segment != grubSegment {
		return nil, fmt.Errorf("GRUB's second stage wants %d sectors loaded at segment %#x, it has %d for %#x", length, segment, len(core)/grubSector-1, grubSegment)
	}
	return &GRUB{slices.Clone(first), core}, nil
}

// Size is the room that the second stage needs, in bytes: in the BIOS boot
// partition of a GPT, or between an MBR and the first partition.
func (g *GRUB) Size() int64 { return int64(len(g.core)) }

// Place gives the code for the first 440 bytes of the disk and the second
// stage, which lies at an offset of the disk in bytes, a multiple of 512.
func (g *GRUB) Place(offset int64) (code, core []byte, err error) {
	if offset < grubSector || offset%grubSector != 0 {
		return nil, nil, fmt.Errorf("placing GRUB's second stage at byte %d: want a sector behind the first", offset)
	}
	at := uint64(offset / grubSector)
	code, core = slices.Clone(g.first), slices.Clone(g.core)
	binary.LittleEndian.PutUint64(code[grubKernelSector:], at)
	code[grubBootDrive] = 0xff
	// Some BIOSes name the wrong drive; GRUB then takes the first hard disk,
	// unless this jump skips the check for the sake of floppies.
	code[grubDriveCheck], code[grubDriveCheck+1] = 0x90, 0x90
	binary.LittleEndian.PutUint64(core[grubBlocklist:], at+1)
	return code[:grubCodeEnd], core, nil
}
