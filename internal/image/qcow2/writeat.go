package qcow2

import (
	"context"
	"fmt"
	"io"

	"slipway/internal/image"
)

// WriteAt writes a volume as an image to an empty file and returns the size
// of that. It asks the volume once. The header is written last: a file
// without one is not finished.
func WriteAt(ctx context.Context, f io.WriterAt, v image.Volume, c Compression) (int64, error) {
	n, err := writeAt(ctx, f, v, c)
	if err != nil {
		return 0, fmt.Errorf("writing a qcow2 image: %w", err)
	}
	return n, nil
}

func writeAt(ctx context.Context, f io.WriterAt, v image.Volume, c Compression) (int64, error) {
	if c > Zstd {
		return 0, fmt.Errorf("unknown compression %d", c)
	}
	b, err := newBuilder(f, &header{size: v.Size(), compression: c})
	if err != nil {
		return 0, err
	}
	if c == None {
		err = cut(ctx, v, b.plain)
	} else {
		p := newPress(c, b.compressed, b.plain)
		if err = cut(ctx, v, p.add); err == nil {
			err = p.flush()
		}
	}
	if err != nil {
		return 0, err
	}
	return b.finish()
}

// builder puts clusters into a file in the order in which they come.
type builder struct {
	f      io.WriterAt
	head   *header
	next   int64 // where the next whole cluster goes
	packed int64 // where the next compressed one goes; 0: in a new cluster
	l1     []uint64
	l2     []uint64
	region int
	refs   []uint16 // of the file's clusters
}

func newBuilder(f io.WriterAt, h *header) (*builder, error) {
	if err := checkSize(h.size); err != nil {
		return nil, err
	}
	h.size = (h.size + 511) &^ 511
	h.l1Size = l1Entries(h.size)
	b := &builder{f: f, head: h, l1: make([]uint64, h.l1Size), l2: make([]uint64, perL2)}
	b.alloc(1)
	return b, nil
}

// alloc takes clusters.
func (b *builder) alloc(n int64) int64 {
	at := b.next
	b.next += n * clusterSize
	for range n {
		b.refs = append(b.refs, 1)
	}
	return at
}

// entry sets the L2 entry of a cluster. Indexes only go up.
func (b *builder) entry(i int64, e uint64) error {
	if r := int(i / perL2); r != b.region {
		if err := b.flushTable(); err != nil {
			return err
		}
		b.region = r
	}
	b.l2[i%perL2] = e
	return nil
}

// flushTable writes the L2 table if it has entries.
func (b *builder) flushTable() error {
	for _, e := range b.l2 {
		if e == 0 {
			continue
		}
		at := b.alloc(1)
		b.l1[b.region] = uint64(at) | flagCopied
		_, err := b.f.WriteAt(appendTable(make([]byte, 0, clusterSize), b.l2), at)
		clear(b.l2)
		return err
	}
	return nil
}

func (b *builder) plain(i int64, data []byte) error {
	if err := b.entry(i, 0); err != nil { // an older table goes first
		return err
	}
	at := b.alloc(1)
	if _, err := b.f.WriteAt(data, at); err != nil {
		return err
	}
	return b.entry(i, uint64(at)|flagCopied)
}

// compressed puts data behind the last compressed one where that leaves room,
// so that several share a cluster.
func (b *builder) compressed(i int64, data []byte) error {
	if err := b.entry(i, 0); err != nil {
		return err
	}
	if room := -b.packed & (clusterSize - 1); b.packed == 0 || int64(len(data)) > room && b.packed+room != b.next {
		b.packed = b.alloc(1) // the rest is lost: what follows is not free
	} else if int64(len(data)) > room {
		b.alloc(1)
		if room > 0 {
			b.refs[b.packed/clusterSize]++
		}
	} else {
		b.refs[b.packed/clusterSize]++
	}
	if _, err := b.f.WriteAt(data, b.packed); err != nil {
		return err
	}
	err := b.entry(i, compressedEntry(b.packed, len(data)))
	b.packed += int64(len(data))
	return err
}

// finish writes the tables and the header.
func (b *builder) finish() (int64, error) {
	if err := b.flushTable(); err != nil {
		return 0, err
	}
	h := b.head
	if h.l1 = b.alloc(clusters(int64(h.l1Size) * 8)); h.l1Size == 0 {
		h.l1 = clusterSize
	}
	if _, err := b.f.WriteAt(pad(appendTable(nil, b.l1)), h.l1); err != nil {
		return 0, err
	}
	blocks, table := refTables(int64(len(b.refs)))
	first := b.alloc(blocks)
	h.table, h.tableClusters = b.alloc(table), int(table)
	entries := make([]uint64, blocks)
	for i := range entries {
		entries[i] = uint64(first + int64(i)*clusterSize)
		refs := b.refs[i*perBlock : min((i+1)*perBlock, len(b.refs))]
		if _, err := b.f.WriteAt(pad(counts(refs)), int64(entries[i])); err != nil {
			return 0, err
		}
	}
	if _, err := b.f.WriteAt(pad(appendTable(nil, entries)), h.table); err != nil {
		return 0, err
	}
	first0, err := h.marshal()
	if err != nil {
		return 0, err
	}
	_, err = b.f.WriteAt(first0, 0)
	return b.next, err
}
