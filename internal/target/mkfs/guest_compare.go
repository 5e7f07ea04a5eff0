package mkfs

import (
	"bytes"
	"io"
	"os"
	"path"
	"sync"

	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// comparer tells the digests of files by comparing them with what was
// received, which costs a fraction of adding digests up where a processor is
// emulated. A file that is not the same is told nothing of: its digest is
// added up, and shows in the host's comparison.
type comparer struct {
	root   string
	source *treeDisk
}

var compareBuffers = sync.Pool{New: func() any { return new([2][256 << 10]byte) }}

// known is the digest of a file, if it is as it should be.
func (c *comparer) known(name string, st *unix.Stat_t) (tree.Digest, bool) {
	c.source.done.Add(1)
	e := c.source.manifest.Lookup(name)
	if e == nil || e.Type != tree.File || e.Size != st.Size {
		return tree.Digest{}, false
	}
	want, ok := c.source.rows[e.Digest]
	if !ok || want.size != e.Size {
		return tree.Digest{}, false
	}
	f, err := os.Open(path.Join(c.root, name))
	if err != nil {
		return tree.Digest{}, false
	}
	defer f.Close()
	return e.Digest, same(f, c.source.section(want))
}

// same tells whether two readers give the same bytes to their ends.
func same(a, b io.Reader) bool {
	buf := compareBuffers.Get().(*[2][256 << 10]byte)
	defer compareBuffers.Put(buf)
	for {
		n, errA := io.ReadFull(a, buf[0][:])
		m, errB := io.ReadFull(b, buf[1][:])
		if n != m || !bytes.Equal(buf[0][:n], buf[1][:m]) || errA != errB {
			return false
		}
		if errA != nil {
			return errA == io.EOF || errA == io.ErrUnexpectedEOF
		}
	}
}
