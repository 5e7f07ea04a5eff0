package squashfs

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	metaSize         = 8 << 10 // bytes of metadata that are compressed together
	metaUncompressed = 1 << 15 // in the length before a metadata block
)

// metaWriter writes a stream of metadata as blocks, each behind its length.
type metaWriter struct {
	w     io.Writer
	codec codec
	buf   []byte // less than metaSize
	out   []byte
	start int64   // of the block in buf: bytes written so far
	index []int64 // starts of all blocks written
	err   error   // the first; nothing is written after it
}

func newMetaWriter(w io.Writer, c codec) *metaWriter {
	return &metaWriter{w: w, codec: c, buf: make([]byte, 0, metaSize)}
}

// ref is where the next byte goes, in the form of inode references: the start
// of its block, and the offset in it in the low 16 bits.
func (m *metaWriter) ref() uint64 { return uint64(m.start)<<16 | uint64(len(m.buf)) }

func (m *metaWriter) write(b []byte) {
	for len(b) > 0 && m.err == nil {
		n := min(len(b), metaSize-len(m.buf))
		m.buf = append(m.buf, b[:n]...)
		b = b[n:]
		if len(m.buf) == metaSize {
			m.flush()
		}
	}
}

// flush ends the block that was begun, if any, and returns the first error.
func (m *metaWriter) flush() error {
	if m.err != nil || len(m.buf) == 0 {
		return m.err
	}
	out, err := m.codec.compress(append(m.out[:0], 0, 0), m.buf)
	if err != nil {
		m.err = err
		return err
	}
	head := uint16(len(out) - 2)
	if len(out)-2 >= len(m.buf) {
		out = append(out[:2], m.buf...)
		head = uint16(len(m.buf)) | metaUncompressed
	}
	binary.LittleEndian.PutUint16(out, head)
	m.out, m.buf = out, m.buf[:0]
	m.index = append(m.index, m.start)
	m.start += int64(len(out))
	if m.start >= 1<<32 {
		m.err = fmt.Errorf("more than %d bytes of metadata: the tree has too many entries for the format", int64(1)<<32)
		return m.err
	}
	_, m.err = m.w.Write(out)
	return m.err
}

// writeTable writes a table as metadata blocks with an index of them behind.
// It returns the offset of the index. extra comes between the two.
func writeTable(s *spool, c codec, table []byte, extra ...uint64) (at uint64, err error) {
	base := s.n
	m := newMetaWriter(s, c)
	m.write(table)
	if err := m.flush(); err != nil {
		return 0, err
	}
	at = uint64(s.n)
	var b []byte
	for _, v := range extra {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	for _, off := range m.index {
		b = binary.LittleEndian.AppendUint64(b, uint64(base+off))
	}
	_, err = s.Write(b)
	return at, err
}
