package uki

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Offsets into the optional header, the same for PE32+ and PE32 ("PE Format",
// Optional Header Windows-Specific Fields).
const (
	offInitializedData  = 8
	offSectionAlignment = 32
	offFileAlignment    = 36
	offSizeOfImage      = 56
	offSizeOfHeaders    = 60
	offCheckSum         = 64

	coffSize    = 20
	sectionSize = 40
	minOptional = 72
)

// certificates is the index of the data directory that names a signature.
const certificates = 4

// pe is the headers of a PE file, in place in its bytes.
type pe struct {
	data  []byte
	coff  int // offset of the COFF header
	opt   int // of the optional header
	table int // of the section table
	count int // sections
}

func parse(data []byte) (*pe, error) {
	if len(data) < 64 || string(data[:2]) != "MZ" {
		return nil, fmt.Errorf("it does not begin with MZ")
	}
	at := int64(binary.LittleEndian.Uint32(data[60:]))
	if at+4+coffSize+minOptional > int64(len(data)) {
		return nil, fmt.Errorf("its PE header at %#x lies beyond its %d bytes", at, len(data))
	}
	if !bytes.Equal(data[at:at+4], []byte("PE\x00\x00")) {
		return nil, fmt.Errorf("at %#x: got %q, want the signature of a PE file", at, data[at:at+4])
	}
	p := &pe{data: data, coff: int(at) + 4}
	p.count = int(p.get16(p.coff + 2))
	p.opt = p.coff + coffSize
	size := int(p.get16(p.coff + 16))
	p.table = p.opt + size
	if magic := p.get16(p.opt); magic != 0x20b && magic != 0x10b {
		return nil, fmt.Errorf("at %#x: got optional header magic %#x, want 0x20b or 0x10b", p.opt, magic)
	}
	if size < minOptional || p.table+p.count*sectionSize > len(data) {
		return nil, fmt.Errorf("its table of %d sections at %#x lies beyond its %d bytes", p.count, p.table, len(data))
	}
	return p, nil
}

func (p *pe) get16(at int) uint16    { return binary.LittleEndian.Uint16(p.data[at:]) }
func (p *pe) get32(at int) uint32    { return binary.LittleEndian.Uint32(p.data[at:]) }
func (p *pe) put32(at int, v uint32) { binary.LittleEndian.PutUint32(p.data[at:], v) }

// header is one line of the section table (IMAGE_SECTION_HEADER).
type header struct {
	name                          string
	memory, address, size, offset uint32
}

func (p *pe) section(i int) header {
	at := p.table + i*sectionSize
	return header{
		name:    string(bytes.TrimRight(p.data[at:at+8], "\x00")),
		memory:  p.get32(at + 8),
		address: p.get32(at + 12),
		size:    p.get32(at + 16),
		offset:  p.get32(at + 20),
	}
}

func (p *pe) setSection(i int, h header) {
	at := p.table + i*sectionSize
	clear(p.data[at : at+sectionSize])
	copy(p.data[at:at+8], h.name)
	p.put32(at+8, h.memory)
	p.put32(at+12, h.address)
	p.put32(at+16, h.size)
	p.put32(at+20, h.offset)
	p.put32(at+36, 0x40000040) // initialised data, may be read
}

// directory is the offset of a data directory's entry; 0 if there is none.
func (p *pe) directory(i int) int {
	number, first := p.opt+108, p.opt+112 // PE32+
	if p.get16(p.opt) == 0x10b {
		number, first = p.opt+92, p.opt+96
	}
	at := first + i*8
	if at+8 > p.table || int(p.get32(number)) <= i {
		return 0
	}
	return at
}

func (p *pe) sumOffset() int64       { return int64(p.opt + offCheckSum) }
func (p *pe) setChecksum(sum uint32) { p.put32(p.opt+offCheckSum, sum) }
