package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// MaterialiseOptions for Materialise. The zero value writes everything but
// device nodes.
type MaterialiseOptions struct {
	// Devices makes device nodes, which needs real root. Otherwise they
	// are left out: they live in the manifest only.
	Devices bool
	// NoOwners leaves every owner as the calling user.
	NoOwners bool
	// NoXattrs leaves extended attributes out.
	NoXattrs bool
	// Parallel is the number of goroutines that write; 0: one per CPU.
	Parallel int
}

// Materialise writes a sorted, valid manifest into the folder root, which must
// exist and, but for folders that the manifest holds too, lack its names.
// Missing parents are an error. Ids are written as this process sees them.
// Nothing is ever followed out of root, whatever lies in it.
//
// On an error the folder is left half-written; the caller discards it.
func Materialise(ctx context.Context, root string, m *Manifest, content Content, opt MaterialiseOptions) error {
	if err := m.Validate(); err != nil {
		return fmt.Errorf("writing a tree: %w", err)
	}
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening the folder %s: %w", root, err)
	}
	defer unix.Close(fd)
	w := &treeWriter{root: fd, m: m, content: content, opt: opt}
	for _, pass := range []func(context.Context) error{w.folders, w.others, w.links, w.finish} {
		if err := pass(ctx); err != nil {
			return fmt.Errorf("writing a tree to %s: %w", root, err)
		}
	}
	return nil
}

type treeWriter struct {
	root    int
	m       *Manifest
	content Content
	opt     MaterialiseOptions
}

// folders makes all folders, open for us only; finish gives them their
// attributes once nothing in them changes any more.
func (w *treeWriter) folders(ctx context.Context) error {
	at := newWalker(w.root)
	defer at.close()
	for i := range w.m.Entries {
		e := &w.m.Entries[i]
		if e.Type != Dir || e.Path == "." {
			continue
		}
		dir, name, err := at.parent(e.Path)
		if err == nil {
			err = unix.Mkdirat(dir, name, 0o700)
			if errors.Is(err, unix.EEXIST) {
				err = isFolder(dir, name)
			}
		}
		if err != nil {
			return pathError("making", e, err)
		}
	}
	return ctx.Err()
}

func isFolder(dir int, name string) error {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.EEXIST
	}
	return err
}

// others makes everything that is neither a folder nor a further name of a
// hard-link group, in parallel.
func (w *treeWriter) others(ctx context.Context) error {
	n := w.opt.Parallel
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	const batch = 64 // neighbours share a folder
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range n {
		g.Go(func() error {
			at := newWalker(w.root)
			defer at.close()
			for {
				from := int(next.Add(batch)) - batch
				if from >= len(w.m.Entries) {
					return nil
				}
				for i := from; i < min(from+batch, len(w.m.Entries)); i++ {
					if err := w.other(at, &w.m.Entries[i]); err != nil {
						return err
					}
				}
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
		})
	}
	return g.Wait()
}

func (w *treeWriter) skipped(e *Entry) bool {
	return (e.Type == Char || e.Type == Block) && !w.opt.Devices
}

func (w *treeWriter) other(at *walker, e *Entry) error {
	if e.Type == Dir || e.Link != "" || w.skipped(e) {
		return nil
	}
	dir, name, err := at.parent(e.Path)
	switch {
	case err != nil:
	case e.Type == File:
		err = w.file(dir, name, e)
	case e.Type == Symlink:
		if err = unix.Symlinkat(e.Target, dir, name); err == nil {
			err = w.attributes(dir, name, e)
		}
	default:
		if err = unix.Mknodat(dir, name, typeBits(e.Type)|0o600, int(unix.Mkdev(e.Major, e.Minor))); err == nil {
			err = w.attributes(dir, name, e)
		}
	}
	return pathError("writing", e, err)
}

func typeBits(t Type) uint32 {
	switch t {
	case Char:
		return unix.S_IFCHR
	case Block:
		return unix.S_IFBLK
	case Fifo:
		return unix.S_IFIFO
	}
	return unix.S_IFSOCK
}

func (w *treeWriter) links(ctx context.Context) error {
	at, first := newWalker(w.root), newWalker(w.root)
	defer at.close()
	defer first.close()
	for i := range w.m.Entries {
		e := &w.m.Entries[i]
		if e.Link == "" || w.skipped(e) {
			continue
		}
		dir, name, err := at.parent(e.Path)
		if err == nil {
			var fdir int
			var fname string
			if fdir, fname, err = first.parent(e.Link); err == nil {
				err = unix.Linkat(fdir, fname, dir, name, 0)
			}
		}
		if err != nil {
			return pathError("linking", e, err)
		}
	}
	return ctx.Err()
}

// finish sets the attributes of folders, the deepest first, because making
// and linking names changes the times of the folders that hold them, and a
// closed folder could not be passed any more.
func (w *treeWriter) finish(context.Context) error {
	at := newWalker(w.root)
	defer at.close()
	for i := len(w.m.Entries) - 1; i >= 0; i-- {
		e := &w.m.Entries[i]
		if e.Type != Dir {
			continue
		}
		f, err := at.openFolder(e.Path)
		if err == nil {
			err = errors.Join(w.fileAttributes(f, e), f.Close())
		}
		if err != nil {
			return pathError("finishing", e, err)
		}
	}
	return nil
}

func pathError(doing string, e *Entry, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", doing, e.Path, err)
}

// file writes a regular file and all that belongs to it.
func (w *treeWriter) file(dir int, name string, e *Entry) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), e.Path)
	err = w.fill(f, e)
	if err == nil {
		err = w.fileAttributes(f, e)
	}
	return errors.Join(err, f.Close())
}
