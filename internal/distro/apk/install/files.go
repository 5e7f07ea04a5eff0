package install

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"slipway/internal/distro/intree"
	"slipway/internal/tree"
)

// ConflictError says that two packages have the same file.
type ConflictError struct {
	Path, Owner string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("/%s is owned by %s, and neither package replaces the other; leave one of them out", e.Path, e.Owner)
}

// files puts the package's entries in place, in archive order.
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

func (j *job) entry(i int, e *tree.Entry) error {
	a := j.acl(i, e)
	if e.Type == tree.Dir {
		return j.folder(e, a)
	}
	dir, base := path.Split(e.Path)
	in := j.own(strings.TrimSuffix(dir, "/"))
	in.dir.hit = true
	skip, err := j.claimed(e.Path)
	if err != nil || skip {
		return err
	}
	f := &file{name: base, acl: a, sum: j.sums[i], in: in}
	in.files = append(in.files, f)
	if err := j.place(i, e, f); err != nil {
		return err
	}
	j.in.db.claim(e.Path, f)
	return nil
}

// own is the package's view of a folder, made if need be.
func (j *job) own(dir string) *owned {
	d := j.rec.dir(dir)
	if d == nil {
		d = &owned{dir: j.in.db.folder(dir), pkg: j.rec, acl: plainDir}
		j.rec.dirs = append(j.rec.dirs, d)
	}
	return d
}

// acl is the archive's, with owners by name where the tree knows the name.
func (j *job) acl(i int, e *tree.Entry) acl {
	a := acl{uid: int(e.UID), gid: int(e.GID), mode: e.Mode, xattrs: xattrSum(e.Xattrs)}
	names, ok := j.owners[i]
	if !ok {
		names = [2]string{"root", "root"}
	}
	if id, ok := j.in.ids.User(names[0]); ok {
		a.uid = id
	}
	if id, ok := j.in.ids.Group(names[1]); ok {
		a.gid = id
	}
	return a
}

// xattrSum is apk's checksum of extended attributes: names and values by
// length and bytes, in the order of names.
func xattrSum(m map[string]string) string {
	if len(m) == 0 {
		return ""
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	h := sha1.New()
	put := func(s string) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		h.Write(n[:])
		io.WriteString(h, s)
	}
	for _, name := range names {
		put(name)
		put(m[name])
	}
	return "Q1" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// folder makes a folder. One that was there before apk keeps its permissions,
// unless they are what its other owners wanted.
func (j *job) folder(e *tree.Entry, a acl) error {
	d := j.own(e.Path)
	d.dir.hit = true
	if !d.dir.met {
		d.dir.met = true
		st, err := j.in.root.Lstat(e.Path)
		switch {
		case err == nil:
			d.dir.update = d.dir.known && st.Mode&0o7777 == d.dir.mode && int(st.Uid) == d.dir.uid && int(st.Gid) == d.dir.gid
		case errors.Is(err, fs.ErrNotExist):
			d.dir.update = true
			dir, base, err := j.in.root.Parent(e.Path)
			if err == nil {
				if err = unix.Mkdirat(dir.FD, base, 0o700); err == nil {
					err = unix.Fchmodat(dir.FD, base, a.mode, 0)
				}
			}
			if err != nil {
				return err
			}
		default:
			return err
		}
	}
	d.acl = a
	d.dir.settle(a)
	return nil
}

// claimed judges a file that another package has: an error, or that this one
// leaves it alone.
func (j *job) claimed(name string) (skip bool, err error) {
	old := j.in.db.files[name]
	if old == nil {
		return false, nil
	}
	other := old.in.pkg
	if other == j.rec {
		return false, fmt.Errorf("it is in the package twice")
	}
	if other.Origin != "" && other.Origin == j.rec.Origin {
		return false, nil
	}
	theirs, ours := -1, -1
	for _, d := range other.replaces {
		if d.Means(j.rec.Package) {
			theirs = other.replacesPriority
			break
		}
	}
	for _, d := range j.rec.replaces {
		if d.Means(other.Package) {
			ours = j.rec.replacesPriority
			break
		}
	}
	switch {
	case theirs > ours:
		return true, nil
	case ours >= 0:
		return false, nil
	}
	return false, &ConflictError{name, other.ID()}
}

// place puts a file under its name, or beside one in a protected folder that
// no package has written.
func (j *job) place(i int, e *tree.Entry, f *file) error {
	r := j.in.root
	name := e.Path
	st, err := r.Lstat(name)
	if err == nil {
		if protected(name) && j.in.db.files[name] == nil {
			sum, err := j.in.sum(name, &st)
			if err != nil {
				return err
			}
			if sum == f.sum {
				return nil
			}
			name += ".apk-new"
		}
		if err := r.Remove(name); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return j.create(i, e, f.acl, name)
}

// protected tells whether apk keeps what is there: below /etc, but not links
// in /etc/init.d, and all of /etc/apk.
func protected(name string) bool {
	return strings.HasPrefix(name, "etc/") && !strings.HasPrefix(name, "etc/init.d/")
}

// sum is the checksum of what is there, in the database's form.
func (in *Installer) sum(name string, st *unix.Stat_t) (string, error) {
	var data []byte
	var err error
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		var target string
		target, err = in.root.Readlink(name)
		data = []byte(target)
	} else {
		data, err = in.root.Read(name)
	}
	sum := sha1.Sum(data)
	return "Q1" + base64.StdEncoding.EncodeToString(sum[:]), err
}

// create makes the entry under a name that does not exist.
func (j *job) create(i int, e *tree.Entry, a acl, name string) error {
	r := j.in.root
	d, base, err := r.Parent(name)
	if err != nil {
		return err
	}
	attrs := intree.Attrs{UID: a.uid, GID: a.gid, Mode: a.mode, MTime: e.MTime}
	switch {
	case e.Type == tree.File && e.Link != "":
		from, first, err := r.Parent(e.Link)
		if err != nil {
			return err
		}
		return unix.Linkat(from.FD, first, d.FD, base, 0)
	case e.Type == tree.File:
		err = r.WriteFile(d.FD, base, attrs, func(f *os.File) error {
			if err := j.pack.WriteTo(i, f); err != nil {
				return err
			}
			return nil
		})
		if err == nil {
			err = setXattrs(d.FD, base, e)
		}
		if err == nil && len(e.Xattrs) == 0 {
			j.in.opt.Unpacked(r.RealPath(d, base), j.pack, i)
		}
		return err
	case e.Type == tree.Symlink:
		err = unix.Symlinkat(e.Target, d.FD, base)
	case e.Type == tree.Fifo:
		err = unix.Mknodat(d.FD, base, unix.S_IFIFO|0o600, 0)
	default:
		if err = intree.MakeNode(d.FD, base, e); err == unix.EPERM {
			r.LeaveOut(e, r.RealPath(d, base), attrs)
			return nil
		}
	}
	if err != nil {
		return err
	}
	return r.Apply(d.FD, base, e.Type, attrs)
}

// setXattrs sets extended attributes of a file that was made just now.
func setXattrs(dirfd int, base string, e *tree.Entry) error {
	for name, value := range e.Xattrs {
		path := fmt.Sprintf("/proc/self/fd/%d/%s", dirfd, base)
		if err := unix.Lsetxattr(path, name, []byte(value), 0); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	return nil
}
