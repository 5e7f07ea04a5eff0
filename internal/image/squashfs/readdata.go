package squashfs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"slipway/internal/tree"
)

// content gives the contents of an image that was read.
type content struct {
	*source
	files map[tree.Digest]*file

	mu     sync.Mutex
	recent map[uint32][]byte // a few fragments
}

var _ tree.Content = (*content)(nil)

// hash finds the digests of all contents, in parallel, those of one fragment
// one after the other.
func (w *walker) hash(limit int64) (*content, error) {
	c := &content{source: w.source, files: make(map[tree.Digest]*file), recent: make(map[uint32][]byte)}
	var files []*file
	for _, n := range w.inodes {
		if n.Type != tree.File {
			continue
		}
		if limit -= n.Size; limit < 0 {
			return nil, errors.New("the contents are too large")
		}
		files = append(files, &n.file)
	}
	slices.SortFunc(files, place)
	if err := c.hashAll(files); err != nil {
		return nil, err
	}
	for _, f := range files {
		if _, seen := c.files[f.digest]; !seen {
			c.files[f.digest] = f
		}
	}
	return c, nil
}

// place orders files as they lie in the image.
func place(a, b *file) int {
	for _, d := range [][2]uint64{{uint64(a.fragment), uint64(b.fragment)}, {uint64(a.offset), uint64(b.offset)},
		{a.start, b.start}, {uint64(a.size), uint64(b.size)}} {
		if d[0] != d[1] {
			if d[0] < d[1] {
				return -1
			}
			return 1
		}
	}
	return slices.Compare(a.blocks, b.blocks)
}

func (c *content) hashAll(files []*file) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for len(files) > 0 {
		n := 1 // of the same place: duplicates
		for n < len(files) && place(files[0], files[n]) == 0 {
			n++
		}
		same := files[:n]
		files = files[n:]
		g.Go(func() error {
			h := sha256.New()
			if _, err := io.Copy(h, c.open(same[0])); err != nil {
				return err
			}
			for _, f := range same {
				h.Sum(f.digest[:0])
			}
			return nil
		})
	}
	return g.Wait()
}

// Open implements tree.Content.
func (c *content) Open(d tree.Digest) (io.ReadCloser, error) {
	f, ok := c.files[d]
	switch {
	case ok:
		return io.NopCloser(c.open(f)), nil
	case d == tree.Empty:
		return io.NopCloser(io.LimitReader(nil, 0)), nil
	}
	return nil, fmt.Errorf("%s: %w", d, tree.ErrNoContent)
}

// fileReader reads a content.
type fileReader struct {
	c    *content
	f    *file
	next int    // block
	at   uint64 // of it
	left int64  // bytes that are not in buf
	buf  []byte
}

func (c *content) open(f *file) *fileReader {
	return &fileReader{c: c, f: f, at: f.start, left: f.size}
}

func (r *fileReader) Read(b []byte) (int, error) {
	if len(r.buf) == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		var err error
		if r.buf, err = r.block(int(min(r.left, int64(r.c.sb.blockSize)))); err != nil {
			return 0, err
		}
		r.left -= int64(len(r.buf))
	}
	n := copy(b, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}

var zeroBlock [maxBlockSize]byte

// block gives the next block, of want bytes.
func (r *fileReader) block(want int) ([]byte, error) {
	if r.next == len(r.f.blocks) {
		return r.c.tail(r.f, want)
	}
	size := r.f.blocks[r.next]
	r.next++
	if size == 0 {
		return zeroBlock[:want], nil
	}
	b, err := r.c.data(r.at, size)
	r.at += uint64(size &^ stored)
	if err == nil && len(b) != want {
		err = fmt.Errorf("data block before %#x has %d bytes, want %d", r.at, len(b), want)
	}
	return b, err
}

// data reads a data block.
func (c *content) data(at uint64, size uint32) ([]byte, error) {
	n := int(size &^ stored)
	if n > c.sb.blockSize {
		return nil, fmt.Errorf("data block at %#x has length %d", at, n)
	}
	b, err := c.bytes(int64(at), n)
	if err == nil && size&stored == 0 {
		b, err = c.decode(b, c.sb.blockSize)
	}
	if err != nil {
		return nil, fmt.Errorf("data block at %#x: %w", at, err)
	}
	return b, nil
}

// tail gives the part of a content that is in a fragment.
func (c *content) tail(f *file, want int) ([]byte, error) {
	b, err := c.fragment(f.fragment)
	if err != nil {
		return nil, err
	}
	if int64(f.offset)+int64(want) > int64(len(b)) {
		return nil, fmt.Errorf("fragment %d has %d bytes: %d at %d are beyond its end", f.fragment, len(b), want, f.offset)
	}
	return b[f.offset:][:want], nil
}

func (c *content) fragment(i uint32) ([]byte, error) {
	if i >= c.sb.fragments {
		return nil, fmt.Errorf("fragment %d of %d", i, c.sb.fragments)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, ok := c.recent[i]; ok {
		return b, nil
	}
	e := c.entry(c.sb.fragmentTable, i, fragmentEntry)
	at, size := e.u64(), e.u32()
	if e.err != nil {
		return nil, e.err
	}
	b, err := c.data(at, size)
	if err != nil {
		return nil, err
	}
	if len(c.recent) >= 16 {
		clear(c.recent)
	}
	c.recent[i] = b
	return b, nil
}
