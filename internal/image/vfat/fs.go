package vfat

import (
	"bytes"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

var _ interface {
	fs.ReadDirFS
	fs.StatFS
} = (*FS)(nil)

// find looks a path up, in any case.
func (f *FS) find(op, name string) (*file, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	at := f.root
	if name == "." {
		return at, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		i := slices.IndexFunc(at.children, func(c *file) bool { return fold(c.name) == fold(part) })
		if i < 0 {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		at = at.children[i]
	}
	return at, nil
}

// Open implements fs.FS.
func (f *FS) Open(name string) (fs.File, error) {
	n, err := f.find("open", name)
	if err != nil {
		return nil, err
	}
	if n.dir {
		return &openDir{file: n, left: sorted(n)}, nil
	}
	return &openFile{n, reader{f: f, cluster: n.first, left: n.size}}, nil
}

// Stat implements fs.StatFS.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	n, err := f.find("stat", name)
	if err != nil {
		return nil, err
	}
	return info{n}, nil
}

// ReadDir implements fs.ReadDirFS.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := f.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	return sorted(n), nil
}

func sorted(n *file) []fs.DirEntry {
	out := make([]fs.DirEntry, len(n.children))
	for i, c := range n.children {
		out[i] = fs.FileInfoToDirEntry(info{c})
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return bytes.Compare([]byte(a.Name()), []byte(b.Name())) })
	return out
}

// info implements fs.FileInfo.
type info struct{ f *file }

func (i info) Name() string       { return i.f.name }
func (i info) Size() int64        { return i.f.size }
func (i info) ModTime() time.Time { return time.Unix(i.f.time.unix(), 0).UTC() }
func (i info) IsDir() bool        { return i.f.dir }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	if i.f.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

type openFile struct {
	file *file
	reader
}

func (o *openFile) Stat() (fs.FileInfo, error) { return info{o.file}, nil }
func (o *openFile) Close() error               { return nil }

type openDir struct {
	file *file
	left []fs.DirEntry
}

func (o *openDir) Stat() (fs.FileInfo, error) { return info{o.file}, nil }
func (o *openDir) Close() error               { return nil }
func (o *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: o.file.name, Err: fs.ErrInvalid}
}

// ReadDir implements fs.ReadDirFile.
func (o *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(o.left) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(o.left) {
		n = len(o.left)
	}
	out := o.left[:n]
	o.left = o.left[n:]
	return out, nil
}
