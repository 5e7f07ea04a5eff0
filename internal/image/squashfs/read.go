package squashfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"

	"slipway/internal/tree"
)

func le16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// Read reads an image of this or another writer back: version 4.0, compressed
// with gzip, xz or zstd. Every content is read once to learn its digest; what
// is opened later is not verified again. The image is not to be changed while
// the content is used. Memory is bounded: an image whose description takes far
// more than its size lets expect is an error.
func Read(path string) (*tree.Manifest, tree.Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading a squashfs image: %w", err)
	}
	m, c, err := readFile(f)
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("reading the squashfs image %s: %w", path, err)
	}
	return m, c, nil // the content has the file, which is closed with it
}

func readFile(f *os.File) (*tree.Manifest, tree.Content, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	return read(f, st.Size(), budgetFor(st.Size()), math.MaxInt64)
}

// budgetFor is how many bytes the description of a tree may take.
func budgetFor(size int64) int64 { return 256<<20 + 64*min(size, 1<<32) }

// read reads an image whose contents have at most limit bytes.
func read(r io.ReaderAt, size, budget, limit int64) (*tree.Manifest, tree.Content, error) {
	s := &source{r: r, size: size, budget: budget, recent: make(map[int64]*metaBlock)}
	if err := s.open(); err != nil {
		return nil, nil, err
	}
	w, err := s.walk()
	if err != nil {
		return nil, nil, err
	}
	c, err := w.hash(limit)
	if err != nil {
		return nil, nil, err
	}
	m, err := w.manifest()
	return m, c, err
}

// open reads the superblock.
func (s *source) open() error {
	b, err := s.bytes(0, superSize)
	if err != nil {
		return errors.New("it is too short for one")
	}
	switch major, minor := le16(b[28:]), le16(b[30:]); {
	case le32(b) != magic:
		return fmt.Errorf("at offset 0: got magic %#x, want %#x", le32(b), uint32(magic))
	case major != 4 || minor != 0:
		return fmt.Errorf("at offset 28: got version %d.%d, want 4.0", major, minor)
	}
	sb := &s.sb
	sb.inodes, sb.time, sb.blockSize, sb.fragments = le32(b[4:]), le32(b[8:]), int(le32(b[12:])), le32(b[16:])
	sb.compression, sb.flags, sb.ids = le16(b[20:]), le16(b[24:]), le16(b[26:])
	for i, v := range []*uint64{&sb.root, &sb.used, &sb.idTable, &sb.xattrTable, &sb.inodeTable, &sb.dirTable, &sb.fragmentTable, &sb.exportTable} {
		*v = le64(b[32+8*i:])
	}
	if sb.blockSize < minBlockSize || sb.blockSize > maxBlockSize || bits.OnesCount(uint(sb.blockSize)) != 1 {
		return fmt.Errorf("at offset 12: block size %d", sb.blockSize)
	}
	if sb.used > uint64(s.size) {
		return fmt.Errorf("it has %d bytes, but should have %d: it is cut off", s.size, sb.used)
	}
	s.size = int64(sb.used)
	s.decode, err = newDecoder(sb.compression)
	return err
}
