package ptable

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// gpt is a header with its entries, as bytes.
type gpt struct {
	header  []byte // 92 bytes or more
	entries []byte
	size    int // of an entry
}

// Offsets in a header: UEFI Specification, table 5.5.
const (
	hdrSize     = 12
	hdrCRC      = 16
	hdrSelf     = 24
	hdrOther    = 32
	hdrFirst    = 40
	hdrLast     = 48
	hdrDisk     = 56
	hdrEntries  = 72
	hdrCount    = 80
	hdrEntry    = 84
	hdrTableCRC = 88
)

func readGPT(r io.ReaderAt, size, sector int64) (*gpt, error) {
	g, err := readHeader(r, sector, sector)
	if err == nil || size < 4*sector {
		return g, err
	}
	if backup, e := readHeader(r, size-sector, sector); e == nil {
		return backup, nil
	}
	return nil, err
}

func readHeader(r io.ReaderAt, off, sector int64) (*gpt, error) {
	h := make([]byte, sector)
	if _, err := r.ReadAt(h, off); err != nil {
		if err == io.EOF {
			return nil, ErrNone
		}
		return nil, fmt.Errorf("reading a GPT header: %w", err)
	}
	if string(h[:8]) != "EFI PART" {
		return nil, ErrNone
	}
	n := int64(le.Uint32(h[hdrSize:]))
	if n < 92 || n > sector {
		return nil, fmt.Errorf("the GPT header at byte %d says that it is %d bytes long", off, n)
	}
	if sum := le.Uint32(h[hdrCRC:]); sum != headerSum(h[:n]) {
		return nil, fmt.Errorf("the GPT header at byte %d has a wrong checksum", off)
	}
	count, each := int64(le.Uint32(h[hdrCount:])), int64(le.Uint32(h[hdrEntry:]))
	start := le.Uint64(h[hdrEntries:])
	if each < 128 || each > 4096 || count*each > maxEntries || start > 1<<52/uint64(sector) {
		return nil, fmt.Errorf("the GPT header at byte %d has impossible entries (%d of %d bytes)", off, count, each)
	}
	g := &gpt{header: h[:n], entries: make([]byte, count*each), size: int(each)}
	if _, err := r.ReadAt(g.entries, int64(start)*sector); err != nil && (err != io.EOF || count > 0) {
		return nil, fmt.Errorf("reading the GPT entries at sector %d: %w", start, err)
	}
	if crc32.ChecksumIEEE(g.entries) != le.Uint32(h[hdrTableCRC:]) {
		return nil, fmt.Errorf("the GPT entries at sector %d have a wrong checksum", start)
	}
	return g, nil
}

func headerSum(h []byte) uint32 {
	zeroed := append([]byte(nil), h...)
	le.PutUint32(zeroed[hdrCRC:], 0)
	return crc32.ChecksumIEEE(zeroed)
}

func (g *gpt) table(sector int64, mbr []byte) *Table {
	t := &Table{Scheme: "gpt", UUID: guid(g.header[hdrDisk:]), sector: sector, gpt: g, mbr: mbr}
	for i := 0; (i+1)*g.size <= len(g.entries); i++ {
		e := g.entry(i)
		first, last := le.Uint64(e[32:]), le.Uint64(e[40:])
		if string(e[:16]) == string(make([]byte, 16)) || last < first || last > 1<<52/uint64(sector) {
			continue
		}
		t.Parts = append(t.Parts, Part{
			Number: i + 1, Start: int64(first) * sector, Size: int64(last-first+1) * sector,
			Type: guid(e), UUID: guid(e[16:]), Name: name(e[56:128]),
		})
	}
	return t
}

func (g *gpt) entry(i int) []byte { return g.entries[i*g.size : (i+1)*g.size] }

// extend makes both copies of the table describe a disk of that many bytes, in
// which one partition reaches to the last usable sector.
func (g *gpt) extend(w io.WriterAt, size, sector int64, number int) (Part, error) {
	table := (int64(len(g.entries)) + sector - 1) / sector // in sectors
	last := size/sector - 1
	usable := last - 1 - table
	e := g.entry(number - 1)
	if usable <= int64(le.Uint64(e[40:])) {
		return Part{}, ErrFull
	}
	le.PutUint64(e[40:], uint64(usable))
	// The backup first: until the last write the old table is valid.
	copies := []struct{ self, other, entries int64 }{{last, 1, last - table}, {1, last, 2}}
	for i, c := range copies {
		if i == 1 && le.Uint64(g.header[hdrEntries:]) != 0 {
			c.entries = g.primaryEntries()
		}
		h := append([]byte(nil), g.header...)
		le.PutUint64(h[hdrSelf:], uint64(c.self))
		le.PutUint64(h[hdrOther:], uint64(c.other))
		le.PutUint64(h[hdrLast:], uint64(usable))
		le.PutUint64(h[hdrEntries:], uint64(c.entries))
		le.PutUint32(h[hdrTableCRC:], crc32.ChecksumIEEE(g.entries))
		le.PutUint32(h[hdrCRC:], headerSum(h))
		if err := writeCopy(w, sector, c.self, c.entries, h, g.entries); err != nil {
			return Part{}, err
		}
	}
	p := Part{Number: number, Start: int64(le.Uint64(e[32:])) * sector}
	p.Size = (usable+1)*sector - p.Start
	return p, nil
}

// primaryEntries is where the first copy of the entries lies; a header that
// was read from the backup says where the backup's are.
func (g *gpt) primaryEntries() int64 {
	if le.Uint64(g.header[hdrSelf:]) == 1 {
		return int64(le.Uint64(g.header[hdrEntries:]))
	}
	return 2
}

func writeCopy(w io.WriterAt, sector, at, entriesAt int64, header, entries []byte) error {
	if _, err := w.WriteAt(entries, entriesAt*sector); err != nil {
		return fmt.Errorf("writing GPT entries: %w", err)
	}
	full := make([]byte, sector)
	copy(full, header)
	if _, err := w.WriteAt(full, at*sector); err != nil {
		return fmt.Errorf("writing a GPT header: %w", err)
	}
	if s, ok := w.(interface{ Sync() error }); ok {
		if err := s.Sync(); err != nil {
			return fmt.Errorf("writing a GPT header: %w", err)
		}
	}
	return nil
}

// ErrFull means that a partition already reaches to the end of its disk.
var ErrFull = errors.New("the partition already reaches to the end of the disk")
