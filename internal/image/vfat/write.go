package vfat

import (
	"context"
	"fmt"
	"io"

	"slipway/internal/image"
)

// Write implements image.Volume.
func (v *Volume) Write(ctx context.Context, w io.Writer) error {
	out := &image.Counter{W: w}
	if err := v.write(ctx, out); err != nil {
		return fmt.Errorf("writing a FAT file system: %w", err)
	}
	return nil
}

func (v *Volume) write(ctx context.Context, out *image.Counter) error {
	g := &v.geo
	if _, err := out.Write(v.bootSectors()); err != nil {
		return err
	}
	if err := v.until(out, g.reserved); err != nil {
		return err
	}
	for i := range uint32(fats) {
		if err := v.writeFAT(out); err != nil {
			return err
		}
		if err := v.until(out, g.reserved+(i+1)*g.perFAT); err != nil {
			return err
		}
	}
	if g.bits != 32 {
		if _, err := out.Write(v.folder(v.root)); err != nil {
			return err
		}
		if err := v.until(out, g.dataStart()); err != nil {
			return err
		}
	}
	buf := make([]byte, 256<<10)
	for _, n := range v.order {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.writeNode(out, n, buf); err != nil {
			return fmt.Errorf("%q: %w", n.path, err)
		}
		if err := v.until(out, g.dataStart()+(n.first-2+n.count)*g.cluster); err != nil {
			return err
		}
	}
	return image.Skip(out, g.size-out.N) // clusters that no file has
}

// until fills up to the start of a sector with zeros.
func (v *Volume) until(out *image.Counter, sector uint32) error {
	return image.Hole(out, int64(sector)*int64(v.geo.sector)-out.N)
}

func (v *Volume) writeNode(out io.Writer, n *node, buf []byte) error {
	if n.dir {
		_, err := out.Write(v.folder(n))
		return err
	}
	r, err := v.content.Open(n.digest)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.CopyBuffer(struct{ io.Writer }{out}, io.LimitReader(r, n.size), buf)
	if err != nil {
		return err
	}
	if extra, _ := io.ReadFull(r, buf[:1]); got != n.size || extra != 0 {
		return fmt.Errorf("the content has not the %d bytes that the tree says", n.size)
	}
	return nil
}

// writeFAT writes the used part of a file allocation table: every chain is a
// run that ends in the mark of the end.
func (v *Volume) writeFAT(out io.Writer) error {
	p := packer{bits: v.geo.bits, w: out}
	end := uint32(1)<<v.geo.bits - 1
	if v.geo.bits == 32 {
		end = 0x0fffffff // the high four bits are reserved
	}
	p.add(end&^0xff | 0xf8) // the media byte
	p.add(end)              // "cleanly unmounted, no errors"
	for _, n := range v.order {
		for c := n.first; c < n.first+n.count-1; c++ {
			p.add(c + 1)
		}
		p.add(end)
	}
	return p.flush()
}

// packer packs entries of a file allocation table.
type packer struct {
	bits int
	w    io.Writer
	buf  []byte
	half uint32 // the first of two entries of FAT12
	odd  bool
	err  error
}

func (p *packer) add(e uint32) {
	switch {
	case p.bits == 32:
		p.buf = append(p.buf, byte(e), byte(e>>8), byte(e>>16), byte(e>>24))
	case p.bits == 16:
		p.buf = append(p.buf, byte(e), byte(e>>8))
	case p.odd:
		e = p.half | e<<12
		p.buf, p.odd = append(p.buf, byte(e), byte(e>>8), byte(e>>16)), false
	default:
		p.half, p.odd = e, true
	}
	if len(p.buf) >= 64<<10 {
		p.out()
	}
}

func (p *packer) out() {
	if p.err == nil {
		_, p.err = p.w.Write(p.buf)
	}
	p.buf = p.buf[:0]
}

func (p *packer) flush() error {
	if p.odd {
		p.add(0)
	}
	p.out()
	return p.err
}
