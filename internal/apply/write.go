package apply

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// attr is what a written name gets.
type attr struct {
	mode     uint32
	uid, gid int
}

var (
	plainFile = attr{mode: 0o644}
	plainDir  = attr{mode: 0o755}
)

// writeFile puts a file at a name, in place of whatever but a folder was
// there. Missing parents are made, root:root 0755.
func (r *root) writeFile(name string, content io.Reader, a attr) error {
	dir, base, err := r.makeParent(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := vacate(dir, base); err != nil {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	fd, err := unix.Openat(int(dir.Fd()), base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &fs.PathError{Op: "create", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = io.Copy(f, content)
	if err == nil {
		err = r.own(dir, base, name, a)
	}
	if err == nil {
		err = unix.Fchmod(fd, a.mode) // after the change of owner, which clears setuid
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func (r *root) writeText(name, text string, a attr) error {
	return r.writeFile(name, strings.NewReader(text), a)
}

// rewrite replaces the content of a file and keeps its owner and mode; links
// are followed. An absent file is made with a.
func (r *root) rewrite(name string, data []byte, a attr) error {
	f, err := r.open(name, unix.O_WRONLY|unix.O_TRUNC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return r.writeFile(name, bytes.NewReader(data), a)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// symlink puts a link at a name, in place of whatever but a folder was there.
func (r *root) symlink(target, name string, a attr) error {
	dir, base, err := r.makeParent(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := vacate(dir, base); err != nil {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	if err := unix.Symlinkat(target, int(dir.Fd()), base); err != nil {
		return &fs.PathError{Op: "symlink", Path: name, Err: err}
	}
	return r.own(dir, base, name, a)
}

// mkdir makes a folder, or gives an existing one the attributes.
func (r *root) mkdir(name string, a attr) error {
	if clean(name) == "." {
		return nil
	}
	dir, base, err := r.makeParent(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Mkdirat(int(dir.Fd()), base, 0o700); err != nil && !r.isDir(name) {
		return &fs.PathError{Op: "mkdir", Path: name, Err: err}
	}
	made, err := r.open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer made.Close()
	if err := r.ownFile(made, name, a); err != nil {
		return err
	}
	return made.Chmod(fs.FileMode(a.mode&0o777) | special(a.mode))
}

// makeParent opens the folder of a path's last component, and makes it and its
// parents where they are missing.
func (r *root) makeParent(name string) (*os.File, string, error) {
	dir, base, err := r.parent(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, base, err
	}
	if err := r.mkdir(path.Dir(path.Clean("/"+name)), plainDir); err != nil {
		return nil, "", err
	}
	return r.parent(name)
}

// remove removes a name that is no folder; an absent one is fine.
func (r *root) remove(name string) error {
	dir, base, err := r.parent(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	return vacate(dir, base)
}

func vacate(dir *os.File, base string) error {
	err := unix.Unlinkat(int(dir.Fd()), base, 0)
	switch err {
	case unix.ENOENT:
		return nil
	case unix.EISDIR, unix.EPERM:
		return errors.New("a folder is there")
	}
	return err
}

// lastID is the last id of a tree. What is mapped beyond it in a worker is the
// caller, root perhaps, to whom no file of a tree may belong.
const lastID = 65535

func (a attr) validOwner() error {
	if a.uid < 0 || a.uid > lastID || a.gid < 0 || a.gid > lastID {
		return fmt.Errorf("the owner %d:%d is outside the ids 0 to %d of a tree", a.uid, a.gid, lastID)
	}
	return nil
}

// own changes the owner of a name itself, not of what it links to.
func (r *root) own(dir *os.File, base, name string, a attr) error {
	if err := a.validOwner(); err != nil {
		return err
	}
	if r.chown != nil {
		return r.chown(path.Clean("/"+name), a.uid, a.gid)
	}
	return unix.Fchownat(int(dir.Fd()), base, a.uid, a.gid, unix.AT_SYMLINK_NOFOLLOW)
}

func (r *root) ownFile(f *os.File, name string, a attr) error {
	if err := a.validOwner(); err != nil {
		return err
	}
	if r.chown != nil {
		return r.chown(path.Clean("/"+name), a.uid, a.gid)
	}
	return f.Chown(a.uid, a.gid)
}

// special is the upper permission bits as Go has them.
func special(mode uint32) (m fs.FileMode) {
	if mode&unix.S_ISUID != 0 {
		m |= fs.ModeSetuid
	}
	if mode&unix.S_ISGID != 0 {
		m |= fs.ModeSetgid
	}
	if mode&unix.S_ISVTX != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// entry is one name of a folder of the tree.
type entry struct {
	name string
	mode uint32
}

// entries looks at names of an open folder, without following links.
func (r *root) entries(dir *os.File, names []string) ([]entry, error) {
	slices.Sort(names)
	list := make([]entry, 0, len(names))
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, &fs.PathError{Op: "stat", Path: path.Join(dir.Name(), name), Err: err}
		}
		list = append(list, entry{name, st.Mode})
	}
	return list, nil
}

func (e entry) isDir() bool  { return e.mode&unix.S_IFMT == unix.S_IFDIR }
func (e entry) isLink() bool { return e.mode&unix.S_IFMT == unix.S_IFLNK }
func (e entry) isFile() bool { return e.mode&unix.S_IFMT == unix.S_IFREG }
