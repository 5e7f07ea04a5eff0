package partition

import (
	"fmt"
	"io"
)

// maxLogical bounds the chain of logical partitions.
const maxLogical = 128

// readMBR reads primary partitions and the chain of logical ones, which are
// numbered from 5.
func readMBR(r io.ReaderAt, mbr []byte, size int64, sector int) (*Table, error) {
	t := &Table{Kind: MBR, Sector: sector, Size: size / int64(sector) * int64(sector),
		DiskID: le.Uint32(mbr[440:]), BootCode: trimZeros(mbr[:440])}
	if isFAT(mbr) && string(mbr[mbrTable:510]) == string(make([]byte, 64)) {
		return nil, fmt.Errorf("%w: a file system begins where it would be", ErrNoTable)
	}
	var extended int64
	for i := range 4 {
		e := mbr[mbrTable+16*i:][:16]
		if e[0]&0x7f != 0 { // then it is a boot sector of something else
			return nil, fmt.Errorf("%w: entry %d is marked %#x, which is neither active nor inactive", ErrNoTable, i+1, e[0])
		}
		if e[4] == typeGPT {
			return nil, fmt.Errorf("the MBR speaks of a GPT, and neither copy of it is there")
		}
		switch p := t.entryMBR(e, 0); {
		case e[4] == 0 || p.Size == 0:
		case isExtended(e[4]):
			extended = p.Start
		default:
			p.Number = i + 1
			t.Parts = append(t.Parts, p)
		}
	}
	if extended > 0 {
		if err := t.readLogical(r, extended); err != nil {
			return nil, err
		}
	}
	for _, p := range t.Parts {
		if p.Start == 0 || p.Start+p.Size > t.Size {
			return nil, fmt.Errorf("partition %d: %d bytes at %d of a disk of %d", p.Number, p.Size, p.Start, t.Size)
		}
	}
	return t, t.checkOverlap()
}

// isFAT recognises the boot sectors that carry the signature of an MBR.
func isFAT(b []byte) bool {
	return string(b[54:57]) == "FAT" || string(b[82:85]) == "FAT" || string(b[3:7]) == "NTFS" || string(b[3:8]) == "EXFAT"
}

func isExtended(kind byte) bool {
	return kind == typeExtended || kind == typeExtended2 || kind == typeExtended3
}

func (t *Table) entryMBR(e []byte, base int64) Part {
	s := int64(t.Sector)
	return Part{Start: base + int64(le.Uint32(e[8:]))*s, Size: int64(le.Uint32(e[12:])) * s, MBRType: e[4], Active: e[0] == 0x80}
}

// readLogical follows the chain: each sector of it names one partition and
// the next sector, relative to the extended partition.
func (t *Table) readLogical(r io.ReaderAt, extended int64) error {
	b := make([]byte, 512)
	for at, n := extended, 5; ; n++ {
		if n-5 >= maxLogical || at+int64(len(b)) > t.Size {
			return fmt.Errorf("the chain of logical partitions leads to %d, or in a circle", at)
		}
		if _, err := r.ReadAt(b, at); err != nil {
			return fmt.Errorf("logical partition %d: %w", n, err)
		}
		if b[510] != 0x55 || b[511] != 0xaa {
			return fmt.Errorf("logical partition %d: no signature at %d", n, at)
		}
		if p := t.entryMBR(b[mbrTable:], at); p.MBRType != 0 && p.Size != 0 {
			p.Number = n
			t.Parts = append(t.Parts, p)
		}
		next := t.entryMBR(b[mbrTable+16:], extended)
		if !isExtended(next.MBRType) || next.Size == 0 {
			return nil
		}
		at = next.Start
	}
}
