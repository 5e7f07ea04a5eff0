package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"io"
	"os"
	"unsafe"

	"slipway/internal/distro/deb/control"
)

// The compact form of a package index: reading it costs one allocation for
// the bytes and one for the packages, which share the strings' bytes.
//
//	header   magic (8), count of packages, length of the strings, CRC-32C of
//	         all that follows (each 32 bits, little-endian)
//	strings  back to back, each its length as a uvarint and its bytes
//	records  one per package, in index order: 18 offsets of strings, Size,
//	         Installed-Size (64 bits), flags
//
// It is a cache in the user's own store and is made anew when it does not
// check out; nothing is trusted that was not verified when it was made.
const (
	compactMagic  = "slipidx\x02"
	compactHeader = 8 + 3*4
	stringFields  = 18
	recordSize    = stringFields*4 + 8 + 8 + 4
)

const (
	flagEssential = 1 << iota
	flagProtected
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fields lists a package's strings in the order of the record.
func fields(p *control.Package) [stringFields]*string {
	return [stringFields]*string{
		&p.Name, &p.Version, &p.Architecture, &p.Source, &p.MultiArch, &p.Priority, &p.Section,
		&p.Depends, &p.PreDepends, &p.Recommends, &p.Suggests, &p.Conflicts, &p.Breaks, &p.Replaces,
		&p.Provides, &p.Enhances, &p.Filename, &p.SHA256,
	}
}

// compactor collects packages.
type compactor struct {
	strings []byte
	records []byte
	count   uint32
	seen    map[uint64]uint32 // hash of a string to its offset
	seed    maphash.Seed
}

// newCompactor makes room for an index of so many bytes of text (0: not
// known): growing by doubling would need the memory twice.
func newCompactor(size int64) *compactor {
	size = min(max(size, 0), 128<<20)
	return &compactor{
		strings: append(make([]byte, 0, 1+size*2/5), 0), records: make([]byte, 0, size/8),
		seen: map[uint64]uint32{}, seed: maphash.MakeSeed(),
	}
}

func (c *compactor) add(p *control.Package) error {
	for _, s := range fields(p) {
		offset, err := c.offset(*s)
		if err != nil {
			return err
		}
		c.records = binary.LittleEndian.AppendUint32(c.records, offset)
	}
	flags := uint32(0)
	if p.Essential {
		flags |= flagEssential
	}
	if p.Protected {
		flags |= flagProtected
	}
	c.records = binary.LittleEndian.AppendUint64(c.records, uint64(p.Size))
	c.records = binary.LittleEndian.AppendUint64(c.records, uint64(p.InstalledSize))
	c.records = binary.LittleEndian.AppendUint32(c.records, flags)
	c.count++
	return nil
}

// maxStrings bounds the strings of one index, in bytes.
const maxStrings = 1 << 30

// offset stores a string, once if the table remembers it.
func (c *compactor) offset(s string) (uint32, error) {
	if s == "" {
		return 0, nil // the first string is the empty one
	}
	h := maphash.String(c.seed, s)
	if at, ok := c.seen[h]; ok {
		if known, err := stringAt(c.strings, at); err == nil && known == s {
			return at, nil
		}
	}
	if len(c.strings)+len(s) > maxStrings {
		return 0, fmt.Errorf("the index has more than %d bytes of text", maxStrings)
	}
	at := uint32(len(c.strings))
	c.strings = binary.AppendUvarint(c.strings, uint64(len(s)))
	c.strings = append(c.strings, s...)
	c.seen[h] = at
	return at, nil
}

// writeTo writes the compact form.
func (c *compactor) writeTo(w io.Writer) error {
	header := append([]byte{}, compactMagic...)
	header = binary.LittleEndian.AppendUint32(header, c.count)
	header = binary.LittleEndian.AppendUint32(header, uint32(len(c.strings)))
	sum := crc32.Update(crc32.Checksum(c.strings, castagnoli), castagnoli, c.records)
	header = binary.LittleEndian.AppendUint32(header, sum)
	for _, b := range [][]byte{header, c.strings, c.records} {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

var errCompact = errors.New("reading a cached index: it is damaged")

// readCompact reads a compact index from a file.
func readCompact(path string, origin *control.Origin) ([]control.Package, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return decodeCompact(data, origin)
}

// decodeCompact makes the packages of a compact index. Their strings share
// data, which must not change any more.
func decodeCompact(data []byte, origin *control.Origin) ([]control.Package, error) {
	if len(data) < compactHeader || !bytes.HasPrefix(data, []byte(compactMagic)) {
		return nil, errCompact
	}
	count := int64(binary.LittleEndian.Uint32(data[8:]))
	length := int64(binary.LittleEndian.Uint32(data[12:]))
	body := data[compactHeader:]
	if int64(len(body)) != length+count*recordSize || crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(data[16:]) {
		return nil, errCompact
	}
	text, records := body[:length:length], body[length:]
	list := make([]control.Package, count)
	for i := range list {
		if err := decodeRecord(&list[i], records[i*recordSize:], text); err != nil {
			return nil, err
		}
		list[i].Origin = origin
	}
	return list, nil
}

func decodeRecord(p *control.Package, record, text []byte) error {
	var err error
	for i, s := range fields(p) {
		if at := binary.LittleEndian.Uint32(record[i*4:]); at != 0 {
			if *s, err = stringAt(text, at); err != nil {
				return err
			}
		}
	}
	rest := record[stringFields*4:]
	p.Size = int64(binary.LittleEndian.Uint64(rest))
	p.InstalledSize = int64(binary.LittleEndian.Uint64(rest[8:]))
	flags := binary.LittleEndian.Uint32(rest[16:])
	p.Essential, p.Protected = flags&flagEssential != 0, flags&flagProtected != 0
	return nil
}

// stringAt returns the string at an offset without copying it.
func stringAt(text []byte, at uint32) (string, error) {
	if int64(at) >= int64(len(text)) {
		return "", errCompact
	}
	n, width := binary.Uvarint(text[at:])
	if width <= 0 || n > uint64(len(text))-uint64(at)-uint64(width) {
		return "", errCompact
	}
	if n == 0 {
		return "", nil
	}
	return unsafe.String(&text[uint64(at)+uint64(width)], int(n)), nil
}
