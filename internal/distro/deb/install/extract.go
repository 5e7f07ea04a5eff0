package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"slipway/internal/distro/intree"
	"slipway/internal/tree"
)

// Extract puts the files of packages into the tree, in the given order,
// without scripts and without the database, as "tar --extract
// --keep-directory-symlink" would; this is how a tree gets its first programs.
// Unpack later finds the files in place and does not write them again.
//
// Folders get the attributes of the last package that holds them. dpkg would
// touch a folder when it writes the files in it, so that only folders without
// files keep the archive's time.
func (in *Installer) Extract(ctx context.Context, packages []Package) error {
	x := &extraction{in: in, times: map[string]int64{}, touched: map[string]bool{}}
	for _, p := range packages {
		if err := ctx.Err(); err != nil {
			return err
		}
		in.opt.Step("extracting " + p.Name)
		if err := x.pack(ctx, p); err != nil {
			return fmt.Errorf("extracting %s: %w", p.Name, err)
		}
		in.extracted[p.SHA256] = true
	}
	return x.finish()
}

type extraction struct {
	in      *Installer
	job     *job
	times   map[string]int64 // folders, by real path
	touched map[string]bool  // folders that hold something else than folders
}

func (x *extraction) pack(ctx context.Context, p Package) error {
	j, err := x.in.begin(ctx, p)
	if err != nil {
		return err
	}
	defer j.pack.Close()
	x.job = j
	entries := j.pack.Entries()
	for i := range entries {
		x.in.root.Trim()
		if err := x.entry(i, &entries[i]); err != nil {
			return fmt.Errorf("/%s: %w", entries[i].Path, err)
		}
	}
	return nil
}

func (x *extraction) entry(i int, e *tree.Entry) error {
	a := attrs{UID: int(e.UID), GID: int(e.GID), Mode: e.Mode, MTime: e.MTime}
	if e.Path == "." {
		x.times["."] = e.MTime
		return x.in.applyRoot(a)
	}
	if e.Type == tree.Dir {
		return x.folder(e, a)
	}
	r := x.in.root
	d, base, err := r.Parent(e.Path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = r.MkdirAll(path.Dir(e.Path), 0o755); err == nil {
			d, base, err = r.Parent(e.Path)
		}
	}
	if err != nil {
		return err
	}
	x.touched[path.Dir(r.RealPath(d, base))] = true
	if e.Type == tree.File {
		x.in.opt.Unpacked(r.RealPath(d, base), x.job.pack, i)
	}
	err = x.job.create(i, e, e.Path, a)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(d.FD, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if e.Type == tree.Symlink && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return nil // dpkg will leave it, too
	}
	return x.job.replace(i, e, e.Path, a, &st)
}

// folder makes a folder, or gives one that exists new attributes. A link that
// leads to a folder stays as it is.
func (x *extraction) folder(e *tree.Entry, a attrs) error {
	r := x.in.root
	err := x.job.create(0, e, e.Path, a)
	if errors.Is(err, fs.ErrExist) {
		st, err := r.Lstat(e.Path)
		if err != nil {
			return err
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
		case unix.S_IFLNK:
			if _, err := r.Folder(e.Path); err == nil {
				return nil
			}
			fallthrough
		default:
			return x.job.replace(0, e, e.Path, a, &st)
		}
		d, base, err := r.Parent(e.Path)
		if err != nil {
			return err
		}
		if err := x.in.root.Apply(d.FD, base, e.Type, a); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	d, base, err := r.Parent(e.Path)
	if err != nil {
		return err
	}
	x.times[r.RealPath(d, base)] = e.MTime
	return nil
}

// finish gives folders their time; making what is in them has changed it.
func (x *extraction) finish() error {
	for name, mtime := range x.times {
		x.in.root.Trim()
		d, base, err := x.in.root.Parent(name)
		if err != nil {
			return err
		}
		if name == "." {
			d, base = &dir{FD: x.in.root.FD}, "."
		}
		set := func() error { return intree.SetTime(d.FD, base, mtime) }
		if x.touched[name] {
			set = func() error { return unix.UtimesNanoAt(d.FD, base, nil, unix.AT_SYMLINK_NOFOLLOW) }
		}
		if err := set(); err != nil && err != unix.ENOENT {
			return &fs.PathError{Op: "utimes", Path: "/" + name, Err: err}
		}
	}
	return nil
}

// applyRoot sets the attributes of the tree's own directory.
func (in *Installer) applyRoot(a attrs) error {
	return in.root.Apply(in.root.FD, ".", tree.Dir, a)
}
