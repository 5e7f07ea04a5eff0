package ptable

import (
	"fmt"
	"io"
)

// The primary entries of an MBR.
const (
	mbrDisk  = 440
	mbrTable = 446
	mbrEntry = 16
)

// readMBR reads the four primary partitions. Logical ones are not looked for:
// images of ours have none.
func readMBR(b []byte, sector int64) (*Table, error) {
	if b[510] != 0x55 || b[511] != 0xaa {
		return nil, ErrNone
	}
	t := &Table{Scheme: "mbr", UUID: fmt.Sprintf("%08x", le.Uint32(b[mbrDisk:])), sector: sector, mbr: b}
	for i := range 4 {
		e := b[mbrTable+i*mbrEntry:][:mbrEntry]
		if e[0]&0x7f != 0 { // boot code or a FAT, not a table
			return nil, ErrNone
		}
		first, count := int64(le.Uint32(e[8:])), int64(le.Uint32(e[12:]))
		if e[4] == 0 || count == 0 {
			continue
		}
		t.Parts = append(t.Parts, Part{
			Number: i + 1, Start: first * sector, Size: count * sector,
			Type: fmt.Sprintf("%02x", e[4]), UUID: fmt.Sprintf("%s-%02x", t.UUID, i+1),
		})
	}
	if len(t.Parts) == 0 {
		return nil, ErrNone
	}
	return t, nil
}

func (t *Table) extendMBR(w io.WriterAt, size int64, p Part) (Part, error) {
	end := size / t.sector
	end = min(end, 1<<32-1) // what the format can name
	count := end - p.Start/t.sector
	if count*t.sector <= p.Size {
		return Part{}, ErrFull
	}
	e := t.mbr[mbrTable+(p.Number-1)*mbrEntry:]
	le.PutUint32(e[12:], uint32(count))
	if _, err := w.WriteAt(t.mbr[:512], 0); err != nil {
		return Part{}, fmt.Errorf("writing a partition table: %w", err)
	}
	p.Size = count * t.sector
	return p, nil
}
