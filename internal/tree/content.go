package tree

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNoContent is what a Content returns, possibly wrapped, for a digest that
// it does not hold.
var ErrNoContent = errors.New("content is not there")

// Content gives the bytes of files by their digest. Open may be called from
// several goroutines at once; the caller closes what it returns. Whether the
// bytes were verified is up to the implementation, and said there.
type Content interface {
	Open(Digest) (io.ReadCloser, error)
}

// FileCopier is a Content that can fill a file faster than by reading, for
// example with copy_file_range. The file is empty and its offset is 0. The
// bytes are verified: a wrong digest is an error.
type FileCopier interface {
	CopyTo(Digest, *os.File) error
}

// Empty is the digest of no bytes at all.
var Empty = Digest(sha256.Sum256(nil))

// Bytes is a Content in memory, keyed by digest; for tests and small trees.
type Bytes map[Digest][]byte

// Add stores some bytes and returns their digest.
func (c Bytes) Add(b []byte) Digest {
	d := Digest(sha256.Sum256(b))
	c[d] = b
	return d
}

// Open implements Content.
func (c Bytes) Open(d Digest) (io.ReadCloser, error) {
	b, ok := c[d]
	if !ok && d != Empty {
		return nil, fmt.Errorf("%s: %w", d, ErrNoContent)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// Contents asks several in turn; the first that holds a digest gives it.
type Contents []Content

// Open implements Content.
func (cs Contents) Open(d Digest) (io.ReadCloser, error) {
	for _, c := range cs {
		r, err := c.Open(d)
		if !errors.Is(err, ErrNoContent) {
			return r, err
		}
	}
	return nil, fmt.Errorf("%s: %w", d, ErrNoContent)
}

// DirContent reads the contents that a manifest names from the folder it was
// scanned from, without following symbolic links at the end of a path. It does
// not verify them.
func DirContent(root string, m *Manifest) Content {
	c := dirContent{root: root, paths: make(map[Digest]string)}
	for i := range m.Entries {
		e := &m.Entries[i]
		if _, seen := c.paths[e.Digest]; e.Type == File && !seen {
			c.paths[e.Digest] = e.Path
		}
	}
	return c
}

type dirContent struct {
	root  string
	paths map[Digest]string
}

func (c dirContent) Open(d Digest) (io.ReadCloser, error) {
	p, ok := c.paths[d]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d, ErrNoContent)
	}
	return os.OpenFile(filepath.Join(c.root, p), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}
