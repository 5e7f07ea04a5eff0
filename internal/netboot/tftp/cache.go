package tftp

import (
	"io"
	"os"
	"sync"
	"syscall"
)

// cache keeps small files in memory: a loader goes to many machines at once,
// block by block, and each block would be a read of its own.
type cache struct {
	mu    sync.Mutex
	files map[version][]byte
	used  int64
}

// version is a file in the state that it was read in.
type version struct {
	device, inode             uint64
	size, modified, changed   int64
	modifiedNano, changedNano int64
}

const (
	maxCached = 4 << 20  // bytes of a file
	maxCache  = 32 << 20 // of all
)

// hold returns the file from memory, or the file itself where that cannot be
// or it is being written to.
func (c *cache) hold(f File) File {
	d, ok := f.(*diskFile)
	if !ok || d.size > maxCached {
		return f
	}
	v, err := versionOf(d.File)
	if err != nil || v.size != d.size {
		return f
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.files[v]
	if !ok {
		b = make([]byte, d.size)
		if _, err := d.ReadAt(b, 0); err != nil && err != io.EOF {
			return f
		}
		if after, err := versionOf(d.File); err != nil || after != v {
			return f
		}
		if c.used += d.size; c.files == nil || c.used > maxCache {
			c.files, c.used = map[version][]byte{}, d.size
		}
		c.files[v] = b
	}
	d.Close()
	return Bytes(b)
}

func versionOf(f *os.File) (version, error) {
	info, err := f.Stat()
	if err != nil {
		return version{}, err
	}
	s := info.Sys().(*syscall.Stat_t)
	modified, modifiedNano := s.Mtim.Unix()
	changed, changedNano := s.Ctim.Unix()
	return version{uint64(s.Dev), s.Ino, s.Size, modified, changed, modifiedNano, changedNano}, nil
}
