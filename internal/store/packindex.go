package store

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"slipway/internal/tree"
)

func appendIndex(b []byte, entries []tree.Entry, offsets []int64, control []ControlFile) []byte {
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for i := range entries {
		b = tree.AppendEntry(b, &entries[i])
		b = binary.AppendUvarint(b, uint64(offsets[i]))
	}
	b = binary.AppendUvarint(b, uint64(len(control)))
	for _, c := range control {
		b = binary.AppendUvarint(b, uint64(len(c.Name)))
		b = append(b, c.Name...)
		b = binary.AppendUvarint(b, uint64(c.Mode))
		b = binary.AppendVarint(b, c.MTime)
		b = binary.AppendUvarint(b, uint64(len(c.Data)))
		b = append(b, c.Data...)
	}
	return b
}

// decodeIndex reads the index; end is where the contents end.
func (p *Pack) decodeIndex(b []byte, end int64) error {
	c := tree.NewCursor(b)
	n := c.Count(tree.MaxEntries, 10)
	p.entries, p.offsets = make([]tree.Entry, 0, n), make([]int64, 0, n)
	for ; n > 0 && c.Err() == nil; n-- {
		e, off := c.Entry(), int64(c.Uvarint(1<<62))
		if c.Err() != nil {
			break
		}
		if err := e.Validate(); err != nil {
			return err
		}
		if e.Type == tree.File && (off < int64(packHeader) && e.Size > 0 || off > end || e.Size > end-off) {
			return fmt.Errorf("entry %q: %d bytes at %d lie outside the contents", e.Path, e.Size, off)
		}
		p.entries, p.offsets = append(p.entries, e), append(p.offsets, off)
	}
	p.verified = make([]atomic.Bool, len(p.entries))
	for n := c.Count(1<<16, 4); n > 0 && c.Err() == nil; n-- {
		f := ControlFile{Name: c.String(255), Mode: uint32(c.Uvarint(07777)), MTime: c.Varint()}
		f.Data = []byte(c.String(maxControl))
		p.control = append(p.control, f)
	}
	if c.Err() == nil && c.Len() > 0 {
		return fmt.Errorf("%d bytes too many", c.Len())
	}
	return c.Err()
}
