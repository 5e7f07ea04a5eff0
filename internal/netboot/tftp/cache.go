package tftp

import (
	"io"
	"io/fs"
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
	d, ok := f.(stater)
	if !ok || f.Size() > maxCached {
		return f
	}
	v, ok := versionOf(d)
	if !ok || v.size != f.Size() {
		return f
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.files[v]
	if !ok {
		b = make([]byte, v.size)
		if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
			return f
		}
		if after, ok := versionOf(d); !ok || after != v {
			return f
		}
		if c.used += v.size; c.files == nil || c.used > maxCache {
			c.files, c.used = map[version][]byte{}, v.size
		}
		c.files[v] = b
	}
	f.Close()
	return Bytes(b)
}

// stater is a File of a file system, such as one that wraps an *os.File.
type stater interface {
	Stat() (fs.FileInfo, error)
}

func versionOf(f stater) (version, bool) {
	info, err := f.Stat()
	if err != nil {
		return version{}, false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return version{}, false
	}
	modified, modifiedNano := s.Mtim.Unix()
	changed, changedNano := s.Ctim.Unix()
	return version{uint64(s.Dev), s.Ino, s.Size, modified, changed, modifiedNano, changedNano}, true
}
