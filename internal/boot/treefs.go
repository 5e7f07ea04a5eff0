package boot

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
	"time"

	"slipway/internal/tree"
)

// maxLinks is how many symbolic links the resolution of a path follows.
const maxLinks = 40

// FS shows a manifest and its contents as a read-only file system. Symbolic
// links are followed inside the tree, absolute ones too: what a machine sees
// in its root, one sees here. It implements fs.ReadLinkFS, fs.StatFS and
// fs.ReadDirFS, and is safe for parallel use.
type FS struct {
	m *tree.Manifest
	c tree.Content
}

var _ interface {
	fs.ReadLinkFS
	fs.ReadDirFS
	fs.StatFS
} = (*FS)(nil)

// NewFS shows a sorted manifest.
func NewFS(m *tree.Manifest, c tree.Content) *FS { return &FS{m, c} }

// Resolve follows the links of a path and gives the entry at its end; nil if
// there is none. The root of a manifest need not be in it.
func (f *FS) Resolve(name string) *tree.Entry {
	e, err := f.walk("stat", name, true)
	if err != nil {
		return nil
	}
	return e
}

// walk finds an entry; the last part of the path is followed only if follow.
func (f *FS) walk(op, name string, follow bool) (*tree.Entry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	rest, at := strings.Split(name, "/"), "."
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = tree.Parent(at)
			continue
		}
		e := f.m.Lookup(path.Join(at, part))
		if e == nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		if e.Type != tree.Symlink || len(rest) == 0 && !follow {
			at = e.Path
			continue
		}
		if links++; links > maxLinks {
			return nil, &fs.PathError{Op: op, Path: name, Err: errors.New("too many levels of symbolic links")}
		}
		if strings.HasPrefix(e.Target, "/") {
			at = "."
		}
		rest = append(strings.Split(e.Target, "/"), rest...)
	}
	if e := f.m.Lookup(at); e != nil {
		return e, nil
	}
	if at == "." {
		return &tree.Entry{Path: ".", Type: tree.Dir, Mode: 0o755}, nil
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// Open implements fs.FS.
func (f *FS) Open(name string) (fs.File, error) {
	e, err := f.walk("open", name, true)
	if err != nil {
		return nil, err
	}
	if e.Type == tree.Dir {
		return &openDir{fs: f, e: e}, nil
	}
	if e.Type != tree.File {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("neither file nor folder")}
	}
	r, err := f.c.Open(e.Digest)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{r, e}, nil
}

// Stat implements fs.StatFS.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	e, err := f.walk("stat", name, true)
	if err != nil {
		return nil, err
	}
	return info{e}, nil
}

// Lstat implements fs.ReadLinkFS.
func (f *FS) Lstat(name string) (fs.FileInfo, error) {
	e, err := f.walk("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return info{e}, nil
}

// ReadLink implements fs.ReadLinkFS.
func (f *FS) ReadLink(name string) (string, error) {
	e, err := f.walk("readlink", name, false)
	if err != nil {
		return "", err
	}
	if e.Type != tree.Symlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return e.Target, nil
}

// ReadDir implements fs.ReadDirFS.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := f.walk("readdir", name, true)
	if err != nil {
		return nil, err
	}
	if e.Type != tree.Dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a folder")}
	}
	return f.children(e.Path), nil
}

// children lists a folder, sorted by name.
func (f *FS) children(dir string) []fs.DirEntry {
	prefix := ""
	if dir != "." {
		prefix = dir + "/"
	}
	es := f.m.Entries
	i := sort.Search(len(es), func(i int) bool { return !tree.Less(es[i].Path, prefix) })
	var out []fs.DirEntry
	for ; i < len(es) && strings.HasPrefix(es[i].Path, prefix); i++ {
		name := es[i].Path[len(prefix):]
		if name != "." && name != "" && !strings.Contains(name, "/") {
			out = append(out, fs.FileInfoToDirEntry(info{&es[i]}))
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name() < out[j].Name() })
	return out
}

// info is an entry as file information.
type info struct{ e *tree.Entry }

func (i info) Name() string       { return path.Base(i.e.Path) }
func (i info) Size() int64        { return i.e.Size }
func (i info) ModTime() time.Time { return time.Unix(i.e.MTime, int64(i.e.MNsec)) }
func (i info) IsDir() bool        { return i.e.Type == tree.Dir }
func (i info) Sys() any           { return i.e }

// kinds are the types of entries as bits of a mode.
var kinds = map[tree.Type]fs.FileMode{
	tree.Dir: fs.ModeDir, tree.Symlink: fs.ModeSymlink, tree.Char: fs.ModeDevice | fs.ModeCharDevice,
	tree.Block: fs.ModeDevice, tree.Fifo: fs.ModeNamedPipe, tree.Socket: fs.ModeSocket,
}

func (i info) Mode() fs.FileMode {
	mode := fs.FileMode(i.e.Mode&0o777) | kinds[i.e.Type]
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if i.e.Mode&bit != 0 {
			mode |= flag
		}
	}
	return mode
}

type openFile struct {
	io.ReadCloser
	e *tree.Entry
}

func (f *openFile) Stat() (fs.FileInfo, error) { return info{f.e}, nil }

type openDir struct {
	fs   *FS
	e    *tree.Entry
	left []fs.DirEntry
	read bool
}

func (d *openDir) Stat() (fs.FileInfo, error) { return info{d.e}, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.e.Path, Err: errors.New("is a folder")}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		d.left, d.read = d.fs.children(d.e.Path), true
	}
	if n <= 0 || n > len(d.left) {
		if n > 0 && len(d.left) == 0 {
			return nil, io.EOF
		}
		n = len(d.left)
	}
	out := d.left[:n]
	d.left = d.left[n:]
	return out, nil
}
