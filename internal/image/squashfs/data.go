package squashfs

import (
	"context"
	"encoding/binary"

	"slipway/internal/tree"
)

// writeData writes the blocks of all contents, and gives the fragment table
// (struct squashfs_fragment_entry).
func (s Writer) writeData(ctx context.Context, to *spool, all *contents, c tree.Content) (fragments []byte, err error) {
	units := all.units(s.BlockSize)
	err = s.run(ctx, units, c, func(i int, b *block) error {
		at := uint64(to.n)
		if u := units[i]; u.fragment {
			le := binary.LittleEndian
			fragments = le.AppendUint32(le.AppendUint32(le.AppendUint64(fragments, at), b.size), 0)
		} else {
			u.files[0].add(at, b)
		}
		_, err := to.Write(b.out)
		return err
	})
	return fragments, err
}

// add notes the next block of a file.
func (f *file) add(at uint64, b *block) {
	if len(f.blocks) == 0 {
		f.start = at
	}
	f.blocks = append(f.blocks, b.size)
	if b.size == 0 {
		f.sparse += int64(len(b.raw))
	}
}
