package uki

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// page is what added sections are aligned to in memory at least: the kernel
// runs in place.
const page = 4096

type section struct {
	name   string
	part   Part
	memory int64 // bytes in memory, at least those of the part
}

// layout is the stub with new headers, and what follows it.
type layout struct {
	stub     *pe
	sections []section
	align    int64 // of sections in the file
	end      int64 // size of the file
}

func (m *Image) layout() (*layout, error) {
	old, err := parse(m.Stub)
	if err != nil {
		return nil, fmt.Errorf("the stub is no PE file: %w", err)
	}
	added, err := m.sections()
	if err != nil {
		return nil, err
	}
	stub, err := old.grow(len(added))
	if err != nil {
		return nil, err
	}
	l := &layout{stub: stub, sections: added, align: int64(stub.get32(stub.opt + offFileAlignment))}
	return l, l.place()
}

// grow copies the stub without signature, symbols and what else lies behind
// its sections, with room for n further sections: its contents move back if
// the headers need their place.
func (p *pe) grow(n int) (*pe, error) {
	align := int64(p.get32(p.opt + offFileAlignment))
	for _, n := range []int64{align, int64(p.get32(p.opt + offSectionAlignment))} {
		if n < 1 || n > 64<<10 || n&(n-1) != 0 {
			return nil, fmt.Errorf("the stub's sections are aligned to %d bytes, want a power of two up to 64 KiB", n)
		}
	}
	first, lowest, end := int64(math.MaxInt64), int64(math.MaxInt64), int64(0)
	for i := range p.count {
		h := p.section(i)
		lowest = min(lowest, int64(h.address))
		if h.size > 0 {
			first = min(first, int64(h.offset))
			end = max(end, int64(h.offset)+int64(h.size))
		}
	}
	headers := int64(p.table + p.count*sectionSize)
	if end > int64(len(p.data)) || first < headers || end == 0 {
		return nil, fmt.Errorf("the stub's sections do not lie behind its headers and within its %d bytes", len(p.data))
	}
	need := roundUp(headers+int64(n)*sectionSize, align)
	if need > lowest {
		return nil, fmt.Errorf("the stub has no room for %d further section headers", n)
	}
	shift := max(need-first, 0)
	shift = roundUp(shift, align)
	data := make([]byte, roundUp(end+shift, align))
	copy(data, p.data[:headers])
	copy(data[first+shift:], p.data[first:end])
	out := *p
	out.data = data
	out.moved(uint32(shift))
	out.put32(out.opt+offSizeOfHeaders, uint32(max(need, int64(p.get32(p.opt+offSizeOfHeaders)))))
	return &out, nil
}

// moved corrects what points into the file.
func (p *pe) moved(shift uint32) {
	for i := range p.count {
		at := p.table + i*sectionSize + 20
		if p.get32(at) != 0 {
			p.put32(at, p.get32(at)+shift)
		}
	}
	p.put32(p.coff+8, 0) // symbols are dropped
	p.put32(p.coff+12, 0)
	if at := p.directory(certificates); at != 0 {
		p.put32(at, 0)
		p.put32(at+4, 0)
	}
	p.setChecksum(0)
}

// place gives the sections their addresses and offsets, and writes the headers.
func (l *layout) place() error {
	p := l.stub
	align := max(int64(p.get32(p.opt+offSectionAlignment)), page)
	address := int64(0)
	for i := range p.count {
		h := p.section(i)
		address = max(address, int64(h.address)+int64(max(h.memory, h.size)))
	}
	offset := int64(len(p.data))
	initialised := int64(p.get32(p.opt + offInitializedData))
	for i, s := range l.sections {
		address = roundUp(address, align)
		size := roundUp(s.part.Size, l.align)
		if address+s.memory > math.MaxInt32 || offset+size > math.MaxInt32 {
			return fmt.Errorf("section %s of %d bytes makes the image larger than 2 GiB, the most that such a file can hold", s.name, s.part.Size)
		}
		p.setSection(p.count+i, header{s.name, uint32(s.memory), uint32(address), uint32(size), uint32(offset)})
		address += s.memory
		offset += size
		initialised += size
	}
	p.count += len(l.sections)
	binary.LittleEndian.PutUint16(p.data[p.coff+2:], uint16(p.count))
	p.put32(p.opt+offInitializedData, uint32(initialised))
	p.put32(p.opt+offSizeOfImage, uint32(roundUp(address, align)))
	l.end = offset
	return nil
}

func (l *layout) write(w io.Writer) error {
	if _, err := w.Write(l.stub.data); err != nil {
		return err
	}
	for _, s := range l.sections {
		if err := s.write(w, l.align); err != nil {
			return fmt.Errorf("section %s: %w", s.name, err)
		}
	}
	return nil
}

func (s *section) write(w io.Writer, align int64) error {
	r, err := s.part.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := io.Copy(w, r)
	if err != nil {
		return err
	}
	if n != s.part.Size {
		return fmt.Errorf("got %d bytes, want %d", n, s.part.Size)
	}
	_, err = w.Write(make([]byte, roundUp(n, align)-n))
	return err
}

func roundUp(n, to int64) int64 { return (n + to - 1) &^ (to - 1) }
