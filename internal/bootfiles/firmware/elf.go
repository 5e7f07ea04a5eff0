package firmware

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var le = binary.LittleEndian

// layout is where an ELF file of one class has its numbers (System V ABI,
// chapter 4): the guest helper has no room for package debug/elf.
type layout struct {
	header              int // size
	table               int // where the header says where the sections are
	each, count, names  int // size and number of their headers; which holds their names
	entry, offset, size int // size of a header; where it says where its section is, and how long
	wide                bool
}

var layouts = map[byte]layout{
	1: {header: 52, table: 32, each: 46, count: 48, names: 50, entry: 40, offset: 16, size: 20},
	2: {header: 64, table: 40, each: 58, count: 60, names: 62, entry: 64, offset: 24, size: 32, wide: true},
}

var errELF = errors.New("it is no little-endian ELF file, or is damaged")

// section gives the content of a section by its name; nil if there is none.
func section(file []byte, name string) ([]byte, error) {
	if len(file) < 64 || !bytes.HasPrefix(file, []byte("\x7fELF")) || file[5] != 1 {
		return nil, errELF
	}
	l, ok := layouts[file[4]]
	if !ok || int(le.Uint16(file[l.each:])) != l.entry {
		return nil, errELF
	}
	count := int(le.Uint16(file[l.count:]))
	headers := cut(file, l.number(file[l.table:]), uint64(count*l.entry))
	index := int(le.Uint16(file[l.names:]))
	if headers == nil || index >= count {
		return nil, errELF
	}
	content := func(i int) []byte {
		h := headers[i*l.entry:]
		return cut(file, l.number(h[l.offset:]), l.number(h[l.size:]))
	}
	names := content(index)
	for i := range count {
		at := le.Uint32(headers[i*l.entry:])
		if uint64(at) < uint64(len(names)) && bytes.HasPrefix(names[at:], append([]byte(name), 0)) {
			if data := content(i); data != nil {
				return data, nil
			}
			return nil, errELF
		}
	}
	return nil, nil
}

func (l layout) number(b []byte) uint64 {
	if l.wide {
		return le.Uint64(b)
	}
	return uint64(le.Uint32(b))
}

// cut gives a part of a file; nil if it is not all there.
func cut(file []byte, at, size uint64) []byte {
	if at > uint64(len(file)) || size > uint64(len(file))-at {
		return nil
	}
	return file[at : at+size : at+size]
}
