package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"slipway/internal/distro/intree"
	"slipway/internal/tree"
)

// files puts the package's entries in place, in archive order. What the rules
// are is written in Debian policy 6.6 and in dpkg(1), "Filesystem filenames".
func (j *job) files() error {
	entries := j.pack.Entries()
	for i := range entries {
		j.in.root.Trim()
		if err := j.entry(i, &entries[i]); err != nil {
			return fmt.Errorf("/%s: %w", entries[i].Path, err)
		}
	}
	return nil
}

// entry puts one entry in place, or leaves what is there.
func (j *job) entry(i int, e *tree.Entry) error {
	db := j.in.db
	if v, ok := db.divs.to[e.Path]; ok {
		return fmt.Errorf("this is where /%s of package %q is diverted to", v.from, v.pkg)
	}
	name := db.divs.use(e.Path, j.p.Name)
	db.activatePath(name, j.rec)
	if e.Type == tree.Dir {
		// The usual case first: it is there, or leads to one that is.
		if _, err := j.in.root.Folder(name); err == nil {
			return nil
		}
	}
	st, err := j.in.root.Lstat(name)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		return err
	}
	if there && e.Type == tree.Symlink && j.in.root.KeepsDir(name, e.Target, &st) {
		return nil
	}
	shared, keep, err := j.claim(e, there, &st)
	if err != nil || keep {
		j.skipped[i] = keep
		return err
	}
	if shared {
		return j.compare(i, e, name, &st)
	}
	return j.place(i, e, name, there, &st)
}

// place writes the entry under a temporary name if need be, and then under its
// own. A conffile keeps the temporary name: dpkg installs it when it
// configures the package.
func (j *job) place(i int, e *tree.Entry, name string, there bool, st *unix.Stat_t) error {
	a := j.attrs(i, e)
	j.fresh[e.Path] = true
	if j.isConf[e.Path] && e.Type == tree.File {
		fresh := name + ".dpkg-new"
		j.placed[e.Path] = fresh
		if err := j.in.root.Remove(fresh); err != nil {
			return err
		}
		j.report(name, i)
		return j.create(i, e, fresh, a)
	}
	if name != e.Path {
		j.placed[e.Path] = name
	}
	if there && j.present && j.same(e, name, a, st) {
		return nil
	}
	if e.Type == tree.File {
		j.report(name, i)
	}
	if !there {
		return j.create(i, e, name, a)
	}
	return j.replace(i, e, name, a, st)
}

// report tells the caller where a file's content came from.
func (j *job) report(name string, i int) {
	if d, base, err := j.in.root.Parent(name); err == nil {
		j.in.opt.Unpacked(j.in.root.RealPath(d, base), j.pack, i)
	}
}

// replace puts the entry over something that exists.
func (j *job) replace(i int, e *tree.Entry, name string, a attrs, st *unix.Stat_t) error {
	r := j.in.root
	if e.Type == tree.Dir || st.Mode&unix.S_IFMT == unix.S_IFDIR {
		// One of the two is a folder: the old thing goes first.
		if err := r.RemoveAll(name); err != nil {
			return err
		}
		return j.create(i, e, name, a)
	}
	fresh := name + ".dpkg-new"
	if err := r.Remove(fresh); err != nil {
		return err
	}
	if err := j.create(i, e, fresh, a); err != nil {
		return err
	}
	d, base, err := r.Parent(name)
	if err != nil {
		return err
	}
	if err := unix.Renameat(d.FD, base+".dpkg-new", d.FD, base); err != nil {
		return err
	}
	// Two names of one file: rename(2) leaves both.
	if err := unix.Unlinkat(d.FD, base+".dpkg-new", 0); err != nil && err != unix.ENOENT {
		return err
	}
	return nil
}

// attrs are those of the archive, with owners by name where the tree knows
// the name, unless dpkg-statoverride(1) says otherwise.
func (j *job) attrs(i int, e *tree.Entry) attrs {
	a := attrs{UID: int(e.UID), GID: int(e.GID), Mode: e.Mode, MTime: e.MTime}
	if names, ok := j.owners[i]; ok {
		a.UID, a.GID = resolve(j.in.ids, names, e.UID, e.GID)
	}
	if o, ok := j.in.db.over.byPath[e.Path]; ok {
		a.UID, a.GID, a.Mode = o.uid, o.gid, o.mode
	}
	return a
}

// same tells whether phase A's file is still what would be written now.
func (j *job) same(e *tree.Entry, name string, a attrs, st *unix.Stat_t) bool {
	if int(st.Uid) != a.UID || int(st.Gid) != a.GID || st.Mtim.Sec != a.MTime || st.Mtim.Nsec != 0 {
		return false
	}
	switch e.Type {
	case tree.File:
		return st.Mode == unix.S_IFREG|a.Mode && st.Size == e.Size && (e.Link == "" || st.Nlink > 1)
	case tree.Symlink:
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			return false
		}
		target, err := j.in.root.Readlink(name)
		return err == nil && target == e.Target
	}
	return false
}

// create makes the entry under a name that does not exist.
func (j *job) create(i int, e *tree.Entry, name string, a attrs) error {
	d, base, err := j.in.root.Parent(name)
	if err != nil {
		return err
	}
	switch {
	case e.Type == tree.File && e.Link != "":
		return j.link(d.FD, base, e)
	case e.Type == tree.File:
		return j.in.root.WriteFile(d.FD, base, a, func(f *os.File) error { return j.pack.WriteTo(i, f) })
	case e.Type == tree.Dir:
		err = unix.Mkdirat(d.FD, base, 0o700)
	case e.Type == tree.Symlink:
		err = unix.Symlinkat(e.Target, d.FD, base)
	case e.Type == tree.Fifo:
		err = unix.Mknodat(d.FD, base, unix.S_IFIFO|0o600, 0)
	default:
		err = intree.MakeNode(d.FD, base, e)
		if err == unix.EPERM {
			j.in.root.LeaveOut(e, j.in.root.RealPath(d, base), a)
			return nil
		}
	}
	if err != nil {
		return err
	}
	return j.in.root.Apply(d.FD, base, e.Type, a)
}

// link makes a hard link to where an earlier entry of the archive went.
func (j *job) link(dirfd int, base string, e *tree.Entry) error {
	from := e.Link
	if p, ok := j.placed[from]; ok {
		from = p
	}
	src, name, err := j.in.root.Parent(from)
	if err != nil {
		return err
	}
	return unix.Linkat(src.FD, name, dirfd, base, 0)
}
