package erofs

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// Write implements image.Volume.
func (v *volume) Write(ctx context.Context, w io.Writer) error {
	o := &output{w: w, buf: bufio.NewWriterSize(w, 256<<10)}
	if err := v.write(ctx, o); err != nil {
		return fmt.Errorf("writing an erofs image: %w", err)
	}
	return nil
}

// output counts, and leaves holes.
type output struct {
	w   io.Writer
	buf *bufio.Writer
	n   int64
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.buf.Write(b)
	o.n += int64(n)
	return n, err
}

// to makes zeros up to a position.
func (o *output) to(pos int64) error {
	n := pos - o.n
	if n < blockSize {
		_, err := o.Write(zeroBlock[:n])
		return err
	}
	if err := o.buf.Flush(); err != nil {
		return err
	}
	o.n = pos
	return image.Hole(o.w, n)
}

func (v *volume) write(ctx context.Context, o *output) error {
	if _, err := o.Write(v.superblock()); err != nil {
		return err
	}
	for _, n := range v.inodes {
		if err := each(ctx, n, func() error { return v.writeInode(o, n) }); err != nil {
			return err
		}
	}
	var spooled int64
	for _, n := range v.inodes {
		if n.blocks == 0 {
			continue
		}
		err := each(ctx, n, func() error {
			if err := o.to(int64(n.blkaddr) * blockSize); err != nil {
				return err
			}
			if n.layout != compressed {
				return v.writeBlocks(o, n)
			}
			size := n.blocks * blockSize
			_, err := io.Copy(o, v.spool.section(spooled, size))
			spooled += size
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := o.to(v.size); err != nil {
		return err
	}
	return o.buf.Flush()
}

func each(ctx context.Context, n *inode, do func() error) error {
	err := ctx.Err()
	if err == nil {
		if err = do(); err != nil {
			err = fmt.Errorf("%q: %w", n.e.Path, err)
		}
	}
	return err
}

var modes = map[tree.Type]uint16{tree.File: 0o100000, tree.Dir: 0o40000, tree.Symlink: 0o120000,
	tree.Char: 0o20000, tree.Block: 0o60000, tree.Fifo: 0o10000, tree.Socket: 0o140000}

// writeInode writes an inode, what follows it, and its tail.
func (v *volume) writeInode(o *output, n *inode) error {
	if err := o.to(n.pos); err != nil {
		return err
	}
	b := append(n.encode(), n.xattrs...)
	if n.layout == compressed {
		b = n.appendIndex(append(b, make([]byte, -len(b)&7)...))
	}
	if _, err := o.Write(b); err != nil || n.tail == 0 {
		return err
	}
	skip := n.size - int64(n.tail)
	switch n.e.Type {
	case tree.Dir:
		_, err := o.Write(encodeDir(n.names)[skip:])
		return err
	case tree.Symlink:
		_, err := io.WriteString(o, n.e.Target)
		return err
	}
	return v.copy(o, n, skip, n.size)
}

// encode makes the inode alone (struct erofs_inode_compact and _extended).
func (n *inode) encode() []byte {
	le, b := binary.LittleEndian, make([]byte, 32, 64)
	value := n.value()
	le.PutUint16(b[0:], uint16(n.layout)<<1)
	le.PutUint16(b[2:], uint16(xattrCount(n.xattrs)))
	le.PutUint16(b[4:], modes[n.e.Type]|uint16(n.e.Mode))
	le.PutUint32(b[16:], value)
	le.PutUint32(b[20:], uint32(n.nid()))
	if !n.extended {
		le.PutUint16(b[6:], uint16(n.nlink))
		le.PutUint32(b[8:], uint32(n.size))
		le.PutUint16(b[24:], uint16(n.e.UID))
		le.PutUint16(b[26:], uint16(n.e.GID))
		return b
	}
	b[0] |= 1
	le.PutUint64(b[8:], uint64(n.size))
	le.PutUint32(b[24:], n.e.UID)
	le.PutUint32(b[28:], n.e.GID)
	b = le.AppendUint64(b, uint64(n.time.sec))
	b = le.AppendUint32(b, n.time.nsec)
	b = le.AppendUint32(b, n.nlink)
	return append(b, make([]byte, 16)...)
}

// value is what i_u holds: it depends on the type.
func (n *inode) value() uint32 {
	switch {
	case n.e.Type == tree.Char || n.e.Type == tree.Block: // as the kernel's new_encode_dev
		return n.e.Minor&0xff | n.e.Major<<8 | n.e.Minor&^0xff<<12
	case n.layout == compressed:
		return uint32(n.blocks)
	case n.blocks == 0:
		return math.MaxUint32
	}
	return n.blkaddr
}

func (v *volume) writeBlocks(o *output, n *inode) error {
	switch n.e.Type {
	case tree.Dir:
		_, err := o.Write(encodeDir(n.names)[:min(n.size, n.blocks*blockSize)])
		return err
	case tree.Symlink:
		_, err := io.WriteString(o, n.e.Target)
		return err
	}
	return v.copy(o, n, 0, min(n.size, n.blocks*blockSize))
}

// copy writes the bytes of a content between two positions. Long zeros become
// holes.
func (v *volume) copy(o *output, n *inode, from, to int64) error {
	r, err := v.open(n.e)
	if err != nil {
		return err
	}
	defer r.Close()
	buf := make([]byte, min(n.size, unitSize))
	for at := int64(0); at < n.size; {
		b := buf[:min(int64(len(buf)), n.size-at)]
		if err := r.full(b); err != nil {
			return err
		}
		begin, end := max(from-at, 0), min(to-at, int64(len(b)))
		at += int64(len(b))
		switch {
		case begin >= end:
		case end-begin == unitSize && isZero(b):
			err = o.to(o.n + unitSize)
		default:
			_, err = o.Write(b[begin:end])
		}
		if err != nil {
			return err
		}
	}
	return r.end()
}

const (
	superOffset = 1024
	magic       = 0xe0f5e1e2

	compatChecksum = 1
	compatMTime    = 2

	incompatPadding = 1 // LZ4 data at the end of its blocks
	incompatConfigs = 2 // a configuration of the compression follows; big physical clusters
)

// superblock is the first block (struct erofs_super_block, struct
// z_erofs_lz4_cfgs).
func (v *volume) superblock() []byte {
	le, block := binary.LittleEndian, make([]byte, blockSize)
	b := block[superOffset:]
	le.PutUint32(b[0:], magic)
	le.PutUint32(b[8:], compatChecksum|compatMTime)
	b[12] = 12 // bits of the block size
	le.PutUint16(b[14:], uint16(v.inodes[0].nid()))
	le.PutUint64(b[16:], uint64(len(v.inodes)))
	le.PutUint64(b[24:], uint64(v.buildTime.sec))
	le.PutUint32(b[32:], v.buildTime.nsec)
	le.PutUint32(b[36:], uint32(v.blocks))
	copy(b[48:], v.opt.UUID[:])
	copy(b[64:], v.opt.Label)
	if v.spool != nil {
		le.PutUint32(b[80:], incompatPadding|incompatConfigs)
		le.PutUint16(b[84:], 1)        // the algorithms: LZ4
		le.PutUint16(b[128:], 14)      // bytes that follow
		le.PutUint16(b[130:], 1<<16-1) // the farthest match
		le.PutUint16(b[132:], unitSize/blockSize)
	}
	// The kernel's CRC-32C has no final inversion.
	le.PutUint32(b[4:], ^crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return block
}
