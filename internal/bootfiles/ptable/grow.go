package ptable

import (
	"fmt"
	"io"
)

// Grow extends a partition to the end of a disk of size bytes and returns it
// with its new size. It must be the last on the disk. ErrFull if nothing is to
// do. Everything else in the table stays; a GPT gets its backup to the new end.
func (t *Table) Grow(w io.WriterAt, size int64, number int) (Part, error) {
	p, ok := t.Part(number)
	if !ok {
		return Part{}, fmt.Errorf("growing partition %d: there is none with that number", number)
	}
	for _, other := range t.Parts {
		if other.Start > p.Start {
			return Part{}, fmt.Errorf("growing partition %d: partition %d lies behind it", number, other.Number)
		}
	}
	if t.gpt == nil {
		return t.extendMBR(w, size, p)
	}
	grown, err := t.gpt.extend(w, size, t.sector, number)
	if err != nil {
		return Part{}, err
	}
	if err := t.protect(w, size); err != nil {
		return Part{}, err
	}
	p.Size = grown.Size
	return p, nil
}

// protect lets the protective MBR cover the whole disk. A hybrid one, with
// partitions of its own, is left alone.
func (t *Table) protect(w io.WriterAt, size int64) error {
	e := t.mbr[mbrTable:]
	if t.mbr[510] != 0x55 || e[4] != 0xee || le.Uint32(e[8:]) != 1 {
		return nil
	}
	le.PutUint32(e[12:], uint32(min(size/t.sector-1, 1<<32-1)))
	if _, err := w.WriteAt(t.mbr[:512], 0); err != nil {
		return fmt.Errorf("writing the protective MBR: %w", err)
	}
	return nil
}
