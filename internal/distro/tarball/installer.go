package tarball

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"slipway/internal/distro"
	"slipway/internal/distro/intree"
	"slipway/internal/store"
	"slipway/internal/tree"
)

// Installer is the family's part of a build inside the sandbox worker.
type Installer struct{}

var _ distro.Installer = Installer{}

// Base puts the archive's members into the empty tree.
func (Installer) Base(ctx context.Context, job *distro.Job) error {
	if len(job.Base) != 1 {
		return fmt.Errorf("the lock names %d archives for the base, not one (write it anew with: slipway update)", len(job.Base))
	}
	job.Step("unpack " + shown(job.Base[0]))
	pack, err := job.Pack(ctx, job.Base[0].SHA256)
	if err != nil {
		return err
	}
	defer pack.Close()
	return with(job, func(r *intree.Root) error {
		p := &placer{root: r, pack: pack, job: job}
		if err := p.place(ctx); err != nil {
			return err
		}
		return anonymous(r)
	})
}

// with opens the tree for one call and passes on its device nodes.
func with(job *distro.Job, do func(r *intree.Root) error) error {
	r, err := intree.Open(job.Root)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := do(r); err != nil {
		return err
	}
	for _, e := range r.Devices() {
		job.Device(e)
	}
	return nil
}

// anonymous empties the name of the machine that the archive was made on:
// systemd makes a new one where the file is empty.
func anonymous(r *intree.Root) error {
	st, err := r.Lstat("etc/machine-id")
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size == 0 {
		return nil
	}
	return r.WriteTimed("etc/machine-id", nil, 0o444, st.Mtim.Sec)
}

type placer struct {
	root *intree.Root
	pack *store.Pack
	job  *distro.Job
}

// place makes all entries; folders get their attributes last, since what is
// made in them changes their time, and may not be made in a closed one.
func (p *placer) place(ctx context.Context) error {
	entries := p.pack.Entries()
	for i := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.root.Trim()
		if err := p.entry(i, &entries[i]); err != nil {
			return fmt.Errorf("/%s: %w", entries[i].Path, err)
		}
	}
	rootSeen := false
	for i := len(entries) - 1; i >= 0; i-- {
		e := &entries[i]
		if e.Type != tree.Dir {
			continue
		}
		rootSeen = rootSeen || e.Path == "."
		p.root.Trim()
		if err := p.folder(e); err != nil {
			return fmt.Errorf("/%s: %w", e.Path, err)
		}
	}
	if !rootSeen {
		return unix.Fchmodat(p.root.FD, ".", 0o755, 0)
	}
	return nil
}

func attrs(e *tree.Entry) intree.Attrs {
	return intree.Attrs{UID: int(e.UID), GID: int(e.GID), Mode: e.Mode, MTime: e.MTime}
}

func (p *placer) folder(e *tree.Entry) error {
	dirfd, base := p.root.FD, "."
	if e.Path != "." {
		d, name, err := p.root.Parent(e.Path)
		if err != nil {
			return err
		}
		dirfd, base = d.FD, name
	}
	if err := p.root.Apply(dirfd, base, tree.Dir, attrs(e)); err != nil {
		return err
	}
	return setXattrs(dirfd, base, e)
}

// entry makes one member under its name.
func (p *placer) entry(i int, e *tree.Entry) error {
	if e.Type == tree.Dir {
		return p.root.MkdirAll(e.Path, 0o755)
	}
	d, base, err := p.root.Parent(e.Path)
	if errors.Is(err, fs.ErrNotExist) { // the archive names files without their folders
		if err = p.root.MkdirAll(path.Dir(e.Path), 0o755); err == nil {
			d, base, err = p.root.Parent(e.Path)
		}
	}
	if err != nil {
		return err
	}
	switch {
	case e.Type == tree.File && e.Link != "":
		return p.link(d, base, e)
	case e.Type == tree.File:
		return p.file(i, d, base, e)
	case e.Type == tree.Symlink:
		err = unix.Symlinkat(e.Target, d.FD, base)
	case e.Type == tree.Fifo:
		err = unix.Mknodat(d.FD, base, unix.S_IFIFO|0o600, 0)
	default:
		if err = intree.MakeNode(d.FD, base, e); err == unix.EPERM {
			p.root.LeaveOut(e, e.Path, attrs(e))
			return nil
		}
	}
	if err != nil {
		return err
	}
	return p.root.Apply(d.FD, base, e.Type, attrs(e))
}

func (p *placer) link(d *intree.Dir, base string, e *tree.Entry) error {
	from, first, err := p.root.Parent(e.Link)
	if err != nil {
		return err
	}
	return unix.Linkat(from.FD, first, d.FD, base, 0)
}

func (p *placer) file(i int, d *intree.Dir, base string, e *tree.Entry) error {
	err := p.root.WriteFile(d.FD, base, attrs(e), func(f *os.File) error { return p.pack.WriteTo(i, f) })
	if err == nil {
		err = setXattrs(d.FD, base, e)
	}
	if err == nil && len(e.Xattrs) == 0 && p.job.Unpacked != nil {
		p.job.Unpacked(p.root.RealPath(d, base), p.pack, i)
	}
	return err
}

func setXattrs(dirfd int, base string, e *tree.Entry) error {
	for name, value := range e.Xattrs {
		if err := unix.Lsetxattr(fmt.Sprintf("/proc/self/fd/%d/%s", dirfd, base), name, []byte(value), 0); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	return nil
}

// System and Packages have nothing to add.
func (Installer) System(context.Context, *distro.Job) error   { return nil }
func (Installer) Packages(context.Context, *distro.Job) error { return nil }

// Quiet has nothing to do: it is not known how services are started.
func (Installer) Quiet(*distro.Job) (undo func() error, err error) {
	return func() error { return nil }, nil
}

// Finish removes what only the build needed, and what every machine must have
// of its own.
func (Installer) Finish(_ context.Context, job *distro.Job) error {
	return with(job, func(r *intree.Root) error {
		for _, dir := range []string{"tmp", "run"} {
			st, err := r.Lstat(dir)
			if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
				continue
			}
			names, err := r.List(dir)
			if err != nil {
				return fmt.Errorf("finishing the tree: %w", err)
			}
			for _, name := range names {
				if err := r.RemoveAll(dir + "/" + name); err != nil {
					return fmt.Errorf("finishing the tree: %w", err)
				}
			}
		}
		if err := r.RemoveMinted(func(string) bool { return false }); err != nil {
			return fmt.Errorf("removing keys that every machine makes for itself: %w", err)
		}
		return nil
	})
}
