// Package ptable reads partition tables (GPT: UEFI Specification, section 5.3;
// MBR: section 5.2) and extends the last partition of a disk that has become
// larger. Making tables is the work of package image/partition.
package ptable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
)

// Table is what a disk says about its partitions.
type Table struct {
	Scheme string // gpt or mbr
	UUID   string // of the disk: GUID, or eight hex digits
	Parts  []Part // those in use

	sector int64
	gpt    *gpt
	mbr    []byte
}

// Part is a partition. Start and Size are in bytes.
type Part struct {
	Number int // as the kernel counts
	Start  int64
	Size   int64
	Type   string // GUID, or two hex digits
	UUID   string // PARTUUID as blkid(8) spells it
	Name   string
}

// ErrNone means that there is no table.
var ErrNone = errors.New("no partition table")

// maxEntries bounds what a table may make us read, in bytes.
const maxEntries = 1 << 20

var le = binary.LittleEndian

// Read reads the table of a disk with sectors of that size in bytes. A GPT
// whose first header is damaged is read from its backup, if size says where
// the disk ends.
func Read(r io.ReaderAt, size, sector int64) (*Table, error) {
	if sector < 512 || sector > 1<<16 || sector&(sector-1) != 0 {
		return nil, fmt.Errorf("reading a partition table: sectors of %d bytes are impossible", sector)
	}
	first := make([]byte, 512)
	if _, err := r.ReadAt(first, 0); err != nil {
		if err == io.EOF {
			return nil, ErrNone
		}
		return nil, fmt.Errorf("reading a partition table: %w", err)
	}
	g, err := readGPT(r, size, sector)
	if err == nil {
		return g.table(sector, first), nil
	}
	if !errors.Is(err, ErrNone) {
		return nil, err
	}
	return readMBR(first, sector)
}

// Part gives a partition by its number.
func (t *Table) Part(number int) (Part, bool) {
	for _, p := range t.Parts {
		if p.Number == number {
			return p, true
		}
	}
	return Part{}, false
}

// guid spells 16 bytes as the UEFI Specification, appendix A, has it.
func guid(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}

func name(b []byte) string {
	var units []uint16
	for i := 0; i+1 < len(b); i += 2 {
		u := le.Uint16(b[i:])
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}
