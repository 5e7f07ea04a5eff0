package partition

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"
)

// ErrNoTable is what Read returns, wrapped, for a disk without a table.
var ErrNoTable = errors.New("no partition table")

// Read reads the table of a disk of size bytes. sector is the size of its
// logical sectors, 512 or 4096; 0 tries both for a GPT, and takes 512 for an
// MBR. A GPT of which one copy is damaged is read from the other; Damage says
// so. Tables that contradict themselves are errors.
func Read(r io.ReaderAt, size int64, sector int) (*Table, error) {
	t, err := read(r, size, sector)
	if err != nil {
		return nil, fmt.Errorf("reading the partition table: %w", err)
	}
	return t, nil
}

func read(r io.ReaderAt, size int64, sector int) (*Table, error) {
	sectors := []int{sector}
	if sector == 0 {
		sectors = []int{512, 4096}
	} else if sector != 512 && sector != 4096 {
		return nil, fmt.Errorf("sectors of %d bytes: want 512 or 4096", sector)
	}
	mbr := make([]byte, 512)
	if size < int64(len(mbr)) {
		return nil, fmt.Errorf("%w in %d bytes", ErrNoTable, size)
	}
	if _, err := r.ReadAt(mbr, 0); err != nil {
		return nil, err
	}
	signed := mbr[510] == 0x55 && mbr[511] == 0xaa
	var failed error
	for _, s := range sectors {
		t, err := readGPT(r, size, s)
		if err == nil {
			err = t.addMBR(mbr)
		}
		if err == nil {
			return t, t.check()
		}
		if !errors.Is(err, ErrNoTable) {
			failed = err
		}
	}
	if failed != nil {
		return nil, failed
	}
	if !signed {
		return nil, ErrNoTable
	}
	return readMBR(r, mbr, size, sectors[0])
}

// readGPT reads the first copy, else the second.
func readGPT(r io.ReaderAt, size int64, sector int) (*Table, error) {
	last := size/int64(sector) - 1
	if last < 2 {
		return nil, ErrNoTable
	}
	first, err1 := readCopy(r, size, sector, 1)
	at := last
	if err1 == nil {
		at = first.other
	}
	second, err2 := readCopy(r, size, sector, at)
	switch {
	case err1 == nil && err2 == nil:
		return first.Table, nil
	case err1 == nil:
		first.Damage = fmt.Sprintf("the second copy, at %d: %v", at*int64(sector), err2)
		return first.Table, nil
	case err2 == nil:
		second.Damage = fmt.Sprintf("the first copy: %v", err1)
		return second.Table, nil
	}
	return nil, err1
}

type gptCopy struct {
	*Table
	other int64
}

// readCopy reads one header and its entries.
func readCopy(r io.ReaderAt, size int64, sector int, lba int64) (*gptCopy, error) {
	b := make([]byte, sector)
	if lba < 1 || lba >= size/int64(sector) {
		return nil, fmt.Errorf("header in sector %d of %d", lba, size/int64(sector))
	}
	if _, err := r.ReadAt(b, lba*int64(sector)); err != nil {
		return nil, err
	}
	if string(b[:8]) != signature {
		return nil, fmt.Errorf("%w: no GPT header in sector %d", ErrNoTable, lba)
	}
	n := le.Uint32(b[12:])
	if n < headerSize || int64(n) > int64(sector) {
		return nil, fmt.Errorf("GPT header of %d bytes", n)
	}
	sum := le.Uint32(b[16:])
	le.PutUint32(b[16:], 0)
	if got := crc32.ChecksumIEEE(b[:n]); got != sum {
		return nil, fmt.Errorf("GPT header in sector %d: checksum %#x, want %#x", lba, got, sum)
	}
	if self := le.Uint64(b[24:]); self != uint64(lba) {
		return nil, fmt.Errorf("GPT header in sector %d says that it is in %d", lba, self)
	}
	t := &Table{Kind: GPT, Sector: sector, Size: size / int64(sector) * int64(sector), ID: GUID(b[56:72]).swapped()}
	out := &gptCopy{t, int64(min(le.Uint64(b[32:]), 1<<62))}
	return out, t.readEntries(r, b)
}

// readEntries reads up to 128 entries; more of them must be empty, since they
// could not be written back.
func (t *Table) readEntries(r io.ReaderAt, header []byte) error {
	at, count, each := le.Uint64(header[72:]), le.Uint32(header[80:]), le.Uint32(header[84:])
	if count == 0 || count > 4096 || each < entrySize || each > 4096 || each%8 != 0 || at > 1<<50 {
		return fmt.Errorf("GPT of %d entries of %d bytes in sector %d", count, each, at)
	}
	b := make([]byte, int(count*each))
	if len(b) > 4<<20 || int64(at) > t.Size/int64(t.Sector) {
		return fmt.Errorf("GPT of %d entries of %d bytes in sector %d", count, each, at)
	}
	if _, err := r.ReadAt(b, int64(at)*int64(t.Sector)); err != nil {
		return fmt.Errorf("GPT entries: %w", err)
	}
	if got, want := crc32.ChecksumIEEE(b), le.Uint32(header[88:]); got != want {
		return fmt.Errorf("GPT entries in sector %d: checksum %#x, want %#x", at, got, want)
	}
	for i := range int(count) {
		e := b[i*int(each):][:each]
		if GUID(e[:16]) == (GUID{}) {
			continue
		}
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if first > last || last >= uint64(t.Size)/uint64(t.Sector) {
			return fmt.Errorf("partition %d: sectors %d to %d of %d", i+1, first, last, t.Size/int64(t.Sector))
		}
		t.Parts = append(t.Parts, Part{
			Number: i + 1, Start: int64(first) * int64(t.Sector), Size: int64(last-first+1) * int64(t.Sector),
			Type: GUID(e[:16]).swapped(), ID: GUID(e[16:32]).swapped(), Attrs: le.Uint64(e[48:]), Name: readName(e[56:128]),
		})
	}
	return nil
}

func readName(b []byte) string {
	var units []uint16
	for i := 0; i < len(b); i += 2 {
		u := le.Uint16(b[i:])
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// addMBR takes over what the MBR beside a GPT says: boot code, and the
// partitions that it names of a hybrid.
func (t *Table) addMBR(mbr []byte) error {
	t.BootCode = trimZeros(mbr[:440])
	for slot := range 4 {
		e := mbr[mbrTable+16*slot:][:16]
		if e[4] == 0 || e[4] == typeGPT {
			continue
		}
		start := int64(le.Uint32(e[8:])) * int64(t.Sector)
		for i := range t.Parts {
			if p := &t.Parts[i]; p.Start == start {
				t.Kind, p.MBRType, p.Active = Hybrid, e[4], e[0] == 0x80
			}
		}
	}
	if t.Kind == Hybrid {
		t.DiskID = le.Uint32(mbr[440:])
	}
	return nil
}

// trimZeros returns nil for nothing but zeros.
func trimZeros(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return append([]byte(nil), b...)
}
