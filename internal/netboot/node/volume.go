package node

import (
	"context"
	"errors"
	"fmt"
	"io"

	"slipway/internal/image"
	"slipway/internal/image/partition"
)

// volume is a disk image on its way from the server, as large as the disk that
// it is written to: the second copy of its GPT moves to the disk's end, and
// the machine grows at its first boot.
type volume struct {
	d          *download
	size       int64 // of the volume
	length     int64 // of the image that is taken
	head, tail []byte
	sector     int // of its table, bytes; 0: it has none
}

// newVolume reads the image's partition table and fits it to a disk.
func newVolume(ctx context.Context, d *download, size int64) (*volume, error) {
	v := &volume{d: d, size: d.chunks.Size, length: d.chunks.Size}
	r := &pieces{ctx: ctx, d: d}
	table, err := partition.Read(r, d.chunks.Size, 0)
	if r.err != nil {
		return nil, r.err
	}
	if errors.Is(err, partition.ErrNoTable) {
		return v, nil // a bare file system
	}
	if err != nil {
		return nil, fmt.Errorf("reading the partition table of the image: %w", err)
	}
	if table.Damage != "" {
		return nil, fmt.Errorf("the partition table of the image is damaged: %s", table.Damage)
	}
	v.sector = table.Sector
	size -= size % int64(table.Sector)
	if table.Kind == partition.MBR || size <= d.chunks.Size {
		return v, nil
	}
	old, err := table.Tail()
	if err != nil {
		return nil, err
	}
	if table, err = table.Resized(size, 0); err != nil {
		return nil, fmt.Errorf("fitting the partition table to the disk: %w", err)
	}
	if v.head, err = table.Head(); err != nil {
		return nil, err
	}
	if v.tail, err = table.Tail(); err != nil {
		return nil, err
	}
	v.length -= int64(len(old)) // the old copy is left out
	v.size = size
	return v, nil
}

// Size implements image.Volume.
func (v *volume) Size() int64 { return v.size }

// Write implements image.Volume.
func (v *volume) Write(ctx context.Context, w io.Writer) error {
	if _, err := w.Write(v.head); err != nil {
		return err
	}
	at := int64(len(v.head))
	for _, p := range v.d.chunks.Pieces {
		if p.At+p.N <= at || p.At >= v.length {
			continue
		}
		data, err := v.d.next(ctx, p)
		if err != nil {
			return err
		}
		from, to := max(p.At, at), min(p.At+p.N, v.length)
		if err := image.Hole(w, from-at); err != nil {
			return err
		}
		if _, err := w.Write(data[from-p.At : to-p.At]); err != nil {
			return err
		}
		at = to
	}
	if err := image.Hole(w, v.length-at); err != nil {
		return err
	}
	if err := image.Skip(w, v.size-v.length-int64(len(v.tail))); err != nil {
		return err
	}
	_, err := w.Write(v.tail)
	return err
}

// pieces reads an image at any place; it keeps the last piece.
type pieces struct {
	ctx  context.Context
	d    *download
	last Piece
	data []byte
	err  error // of the line
}

// ReadAt implements io.ReaderAt.
func (r *pieces) ReadAt(b []byte, at int64) (int, error) {
	if at >= r.d.chunks.Size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), r.d.chunks.Size-at))
	clear(b[:n])
	for _, p := range r.d.chunks.Pieces {
		if p.At+p.N <= at || p.At >= at+int64(n) {
			continue
		}
		if err := r.load(p); err != nil {
			return 0, err
		}
		from, to := max(p.At, at), min(p.At+p.N, at+int64(n))
		copy(b[from-at:to-at], r.data[from-p.At:to-p.At])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (r *pieces) load(p Piece) error {
	if r.last == p {
		return nil
	}
	data, err := r.d.next(r.ctx, p)
	if err != nil {
		r.err = err
		return err
	}
	r.d.done -= p.N // it is fetched again to be written
	r.last, r.data = p, data
	return nil
}
