package tools

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"slipway/internal/store"
	"slipway/internal/tree"
)

// writer makes a tree out of packs: plain files of the caller, folders and
// links. Ownership, times, devices, setuid bits and attributes are left away.
type writer struct {
	root  string
	drop  []string
	dirs  map[string]bool
	links []tree.Entry // absolute symbolic links, which are set when all files are there
	list  contents     // what was written
}

// merged are the folders that stand in /usr, as on every Debian of today.
var merged = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}

func newWriter(root string, drop []string) (*writer, error) {
	w := &writer{root: root, drop: slices.Concat(dropped, drop), dirs: map[string]bool{".": true}, list: contents{}}
	for _, name := range merged {
		if err := w.folder("usr/" + name); err != nil {
			return nil, err
		}
		if err := os.Symlink("usr/"+name, filepath.Join(root, name)); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// place is a package's path in the tree; "" when it is not wanted. Anything
// that would leave the tree is an error.
func (w *writer) place(name string) (string, error) {
	name = path.Clean(name)
	if path.IsAbs(name) || name == ".." || strings.HasPrefix(name, "../") {
		return "", fmt.Errorf("%q leaves the tree", name)
	}
	first, rest, deeper := strings.Cut(name, "/")
	if slices.Contains(merged, first) {
		if !deeper {
			return "", nil
		}
		name = "usr/" + first + "/" + rest
	}
	for _, d := range w.drop {
		if name == d || strings.HasPrefix(name, d+"/") {
			return "", nil
		}
	}
	return name, nil
}

func (w *writer) add(p *store.Pack) error {
	for i, e := range p.Entries() {
		name, err := w.place(e.Path)
		if err != nil {
			return err
		}
		if name == "" || name == "." {
			continue
		}
		if err := w.entry(p, i, e, name); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

func (w *writer) entry(p *store.Pack, i int, e tree.Entry, name string) error {
	if e.Type == tree.Dir {
		return w.folder(name)
	}
	if err := w.folder(path.Dir(name)); err != nil {
		return err
	}
	switch {
	case e.Type == tree.Symlink && path.IsAbs(e.Target):
		e.Path = name
		w.links = append(w.links, e)
		return nil
	case e.Type == tree.Symlink:
		return w.symlink(e.Target, name)
	case e.Type != tree.File:
		return nil
	case e.Link != "":
		first, err := w.place(e.Link)
		if err != nil || first == "" {
			return errors.Join(err, w.file(p, i, e, name))
		}
		w.list[name] = content{Size: e.Size, Digest: e.Digest.String()}
		return os.Link(filepath.Join(w.root, first), filepath.Join(w.root, name))
	}
	return w.file(p, i, e, name)
}

// folder makes a folder and those above it. A symbolic link never stands in
// the way: it could lead out of the tree.
func (w *writer) folder(name string) error {
	if w.dirs[name] {
		return nil
	}
	if err := w.folder(path.Dir(name)); err != nil {
		return err
	}
	full := filepath.Join(w.root, name)
	if err := os.Mkdir(full, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if st, err := os.Lstat(full); err != nil || !st.IsDir() {
		return errors.Join(err, fmt.Errorf("%s is no folder", name))
	}
	w.dirs[name] = true
	return nil
}

func (w *writer) symlink(target, name string) error {
	if to := path.Join(path.Dir(name), target); to == ".." || strings.HasPrefix(to, "../") {
		return fmt.Errorf("its target %q leaves the tree", target)
	}
	w.list[name] = content{Target: target}
	return os.Symlink(target, filepath.Join(w.root, name))
}

func (w *writer) file(p *store.Pack, i int, e tree.Entry, name string) error {
	mode := fs.FileMode(0o644)
	if e.Mode&0o111 != 0 {
		mode = 0o755
	}
	f, err := os.OpenFile(filepath.Join(w.root, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	w.list[name] = content{Size: e.Size, Digest: e.Digest.String()}
	err = p.WriteTo(i, f)
	if err == nil && e.Size >= holesFrom {
		dig(f, e.Size)
	}
	return errors.Join(err, f.Chmod(mode), f.Close())
}

// holesFrom is the size from which holes are worth looking for: images of
// flash memory are zeros for the greater part.
const holesFrom = 4 << 20

// dig gives the room of zeros back. Where the filesystem cannot do that, the
// file is right as it is.
func dig(f *os.File, size int64) {
	const block = 64 << 10
	buf, zeros := make([]byte, block), make([]byte, block)
	for off := int64(0); off+block <= size; off += block {
		if _, err := f.ReadAt(buf, off); err != nil {
			return
		}
		if bytes.Equal(buf, zeros) && unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, block) != nil {
			return
		}
	}
}

// finish sets the absolute links, as links relative to where they stand.
func (w *writer) finish() error {
	for _, e := range w.links {
		target, err := w.place(strings.TrimPrefix(path.Clean(e.Target), "/"))
		if err != nil || target == "" {
			continue // it points at what is not in the tree
		}
		up := strings.Repeat("../", strings.Count(e.Path, "/"))
		if err := w.symlink(up+target, e.Path); err != nil {
			return fmt.Errorf("writing %s: %w", e.Path, err)
		}
	}
	return nil
}
