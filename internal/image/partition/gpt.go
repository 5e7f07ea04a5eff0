package partition

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unicode/utf16"
)

var le = binary.LittleEndian

const (
	signature  = "EFI PART"
	revision   = 0x00010000
	headerSize = 92
	entryCount = 128
	entrySize  = 128
	nameLength = 36 // UTF-16 units
)

// entrySectors is how much the entries take, UEFI 5.3.1: at least 16384 bytes.
func (t *Table) entrySectors() int64 {
	return int64(entryCount * entrySize / t.Sector)
}

// gptHead is the protective or hybrid MBR, the first header, and the entries.
func (t *Table) gptHead() []byte {
	entries := t.entries()
	out := append(t.mbr(), t.header(1, t.lastSector(), 2, crc32.ChecksumIEEE(entries))...)
	return append(out, entries...)
}

// gptTail is the entries and the second header.
func (t *Table) gptTail() []byte {
	entries, last := t.entries(), t.lastSector()
	return append(entries, t.header(last, 1, last-t.entrySectors(), crc32.ChecksumIEEE(entries))...)
}

func (t *Table) lastSector() int64 { return t.Size/int64(t.Sector) - 1 }

// header is a GPT header: UEFI 5.3.2.
func (t *Table) header(self, other, entries int64, sum uint32) []byte {
	b := make([]byte, t.Sector)
	copy(b, signature)
	le.PutUint32(b[8:], revision)
	le.PutUint32(b[12:], headerSize)
	le.PutUint64(b[24:], uint64(self))
	le.PutUint64(b[32:], uint64(other))
	le.PutUint64(b[40:], uint64(t.First()/int64(t.Sector)))
	le.PutUint64(b[48:], uint64(t.End()/int64(t.Sector)-1))
	id := t.ID.swapped()
	copy(b[56:], id[:])
	le.PutUint64(b[72:], uint64(entries))
	le.PutUint32(b[80:], entryCount)
	le.PutUint32(b[84:], entrySize)
	le.PutUint32(b[88:], sum)
	le.PutUint32(b[16:], crc32.ChecksumIEEE(b[:headerSize]))
	return b
}

// entries are the partition entries: UEFI 5.3.3.
func (t *Table) entries() []byte {
	b := make([]byte, entryCount*entrySize)
	for i := range t.Parts {
		p := &t.Parts[i]
		e := b[(p.Number-1)*entrySize:]
		kind, id := p.Type.swapped(), p.ID.swapped()
		copy(e, kind[:])
		copy(e[16:], id[:])
		le.PutUint64(e[32:], uint64(p.Start/int64(t.Sector)))
		le.PutUint64(e[40:], uint64((p.Start+p.Size)/int64(t.Sector)-1))
		le.PutUint64(e[48:], p.Attrs)
		units, _ := nameUnits(p.Name) // checked before
		for j, u := range units {
			le.PutUint16(e[56+2*j:], u)
		}
	}
	return b
}

func nameUnits(s string) ([]uint16, error) {
	units := utf16.Encode([]rune(s))
	if len(units) > nameLength {
		return nil, fmt.Errorf("name %q: a GPT has room for %d characters", s, nameLength)
	}
	return units, nil
}
