package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// attrs are an entry's attributes in this tree.
type attrs struct {
	uid, gid int
	mode     uint32
	mtime    int64
}

// files puts the package's entries in place, in archive order. What the rules
// are is written in Debian policy 6.6 and in dpkg(1), "Filesystem filenames".
func (j *job) files() error {
	entries := j.pack.Entries()
	for i := range entries {
		j.in.root.trim()
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
		if _, err := j.in.root.folder(name); err == nil {
			return nil
		}
	}
	st, err := j.in.root.lstat(name)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		return err
	}
	if there && e.Type == tree.Symlink && j.in.root.keepsDir(name, e.Target, &st) {
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
		if err := j.in.root.remove(fresh); err != nil {
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
	if d, base, err := j.in.root.parent(name); err == nil {
		j.in.opt.Unpacked(j.in.root.realPath(d, base), j.pack, i)
	}
}

// replace puts the entry over something that exists.
func (j *job) replace(i int, e *tree.Entry, name string, a attrs, st *unix.Stat_t) error {
	r := j.in.root
	if e.Type == tree.Dir || st.Mode&unix.S_IFMT == unix.S_IFDIR {
		// One of the two is a folder: the old thing goes first.
		if err := r.removeAll(name); err != nil {
			return err
		}
		return j.create(i, e, name, a)
	}
	fresh := name + ".dpkg-new"
	if err := r.remove(fresh); err != nil {
		return err
	}
	if err := j.create(i, e, fresh, a); err != nil {
		return err
	}
	d, base, err := r.parent(name)
	if err != nil {
		return err
	}
	if err := unix.Renameat(d.fd, base+".dpkg-new", d.fd, base); err != nil {
		return err
	}
	// Two names of one file: rename(2) leaves both.
	if err := unix.Unlinkat(d.fd, base+".dpkg-new", 0); err != nil && err != unix.ENOENT {
		return err
	}
	return nil
}

// attrs are those of the archive, with owners by name where the tree knows
// the name, unless dpkg-statoverride(1) says otherwise.
func (j *job) attrs(i int, e *tree.Entry) attrs {
	a := attrs{uid: int(e.UID), gid: int(e.GID), mode: e.Mode, mtime: e.MTime}
	if names, ok := j.owners[i]; ok {
		a.uid, a.gid = j.in.ids.resolve(names, e.UID, e.GID)
	}
	if o, ok := j.in.db.over.byPath[e.Path]; ok {
		a.uid, a.gid, a.mode = o.uid, o.gid, o.mode
	}
	return a
}

// same tells whether phase A's file is still what would be written now.
func (j *job) same(e *tree.Entry, name string, a attrs, st *unix.Stat_t) bool {
	if int(st.Uid) != a.uid || int(st.Gid) != a.gid || st.Mtim.Sec != a.mtime || st.Mtim.Nsec != 0 {
		return false
	}
	switch e.Type {
	case tree.File:
		return st.Mode == unix.S_IFREG|a.mode && st.Size == e.Size && (e.Link == "" || st.Nlink > 1)
	case tree.Symlink:
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			return false
		}
		target, err := j.in.root.readlink(name)
		return err == nil && target == e.Target
	}
	return false
}

func (r *root) readlink(name string) (string, error) {
	d, base, err := r.parent(name)
	if err != nil {
		return "", err
	}
	b := make([]byte, 4096)
	n, err := unix.Readlinkat(d.fd, base, b)
	return string(b[:max(n, 0)]), err
}

// keepsDir tells whether a link is not to be made because a folder, or a link
// to the same folder, is there.
func (r *root) keepsDir(name, target string, st *unix.Stat_t) bool {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return true
	case unix.S_IFLNK:
	default:
		return false
	}
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(name), target)
	}
	a, errA := r.stat(name)
	b, errB := r.stat(relative(target))
	return errA == nil && errB == nil && a.Mode&unix.S_IFMT == unix.S_IFDIR && a.Dev == b.Dev && a.Ino == b.Ino
}

// create makes the entry under a name that does not exist.
func (j *job) create(i int, e *tree.Entry, name string, a attrs) error {
	d, base, err := j.in.root.parent(name)
	if err != nil {
		return err
	}
	switch {
	case e.Type == tree.File && e.Link != "":
		return j.link(d.fd, base, e)
	case e.Type == tree.File:
		return j.writeFile(d.fd, base, i, a)
	case e.Type == tree.Dir:
		err = unix.Mkdirat(d.fd, base, 0o700)
	case e.Type == tree.Symlink:
		err = unix.Symlinkat(e.Target, d.fd, base)
	case e.Type == tree.Fifo:
		err = unix.Mknodat(d.fd, base, unix.S_IFIFO|0o600, 0)
	default:
		err = mknod(d.fd, base, e)
		if err == unix.EPERM {
			j.in.leaveOut(e, j.in.root.realPath(d, base), a)
			return nil
		}
	}
	if err != nil {
		return err
	}
	return j.in.apply(d.fd, base, e.Type, a)
}

func mknod(dirfd int, base string, e *tree.Entry) error {
	kind := uint32(unix.S_IFCHR)
	if e.Type == tree.Block {
		kind = unix.S_IFBLK
	}
	return unix.Mknodat(dirfd, base, kind|0o600, int(unix.Mkdev(e.Major, e.Minor)))
}

// link makes a hard link to where an earlier entry of the archive went.
func (j *job) link(dirfd int, base string, e *tree.Entry) error {
	from := e.Link
	if p, ok := j.placed[from]; ok {
		from = p
	}
	src, name, err := j.in.root.parent(from)
	if err != nil {
		return err
	}
	return unix.Linkat(src.fd, name, dirfd, base, 0)
}

// writeFile copies a file's content out of the pack. Nothing is synced: what
// matters is kept elsewhere until the whole tree is finished.
func (j *job) writeFile(dirfd int, base string, i int, a attrs) error {
	fd, err := unix.Openat(dirfd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	err = j.pack.WriteTo(i, f)
	if err == nil {
		err = j.in.chown(a.uid, a.gid, func() error { return unix.Fchown(fd, a.uid, a.gid) })
	}
	if err == nil {
		err = unix.Fchmod(fd, a.mode)
	}
	if err == nil {
		ts := [2]unix.Timespec{{Sec: a.mtime}, {Sec: a.mtime}}
		err = unix.UtimesNanoAt(fd, "", ts[:], unix.AT_EMPTY_PATH)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// apply sets owner, mode and time of something that is not a file. It must not
// follow a link, and base was made by us just now.
func (in *Installer) apply(dirfd int, base string, t tree.Type, a attrs) error {
	err := in.chown(a.uid, a.gid, func() error { return unix.Fchownat(dirfd, base, a.uid, a.gid, unix.AT_SYMLINK_NOFOLLOW) })
	if err == nil && t != tree.Symlink {
		err = unix.Fchmodat(dirfd, base, a.mode, 0)
	}
	if err == nil {
		err = setTime(dirfd, base, a.mtime)
	}
	return err
}

// lastID is the last id of a tree. What is mapped beyond it in a worker is the
// caller, root perhaps, to whom no file of a tree may belong.
const lastID = 65535

// chown is left out where the caller may not give files away (only in tests
// that run as a normal user).
func (in *Installer) chown(uid, gid int, do func() error) error {
	if uid < 0 || uid > lastID || gid < 0 || gid > lastID {
		return fmt.Errorf("its owner %d:%d is outside the ids 0 to %d of a tree", uid, gid, lastID)
	}
	if in.keepOwner {
		return nil
	}
	return do()
}

// private makes a folder its owner's alone.
func (in *Installer) private(dirfd int, base string, uid int) error {
	err := in.chown(uid, 0, func() error { return unix.Fchownat(dirfd, base, uid, 0, unix.AT_SYMLINK_NOFOLLOW) })
	if err == nil {
		err = unix.Fchmodat(dirfd, base, 0o700, 0)
	}
	return err
}
