package intree

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// Attrs are an entry's attributes in this tree.
type Attrs struct {
	UID, GID int
	Mode     uint32
	MTime    int64
}

// Readlink gives the target of a link.
func (r *Root) Readlink(name string) (string, error) {
	d, base, err := r.Parent(name)
	if err != nil {
		return "", err
	}
	b := make([]byte, 4096)
	n, err := unix.Readlinkat(d.FD, base, b)
	return string(b[:max(n, 0)]), err
}

// KeepsDir tells whether a link is not to be made because a folder, or a link
// to the same folder, is there.
func (r *Root) KeepsDir(name, target string, st *unix.Stat_t) bool {
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
	a, errA := r.Stat(name)
	b, errB := r.Stat(strings.TrimPrefix(path.Clean(target), "/"))
	return errA == nil && errB == nil && a.Mode&unix.S_IFMT == unix.S_IFDIR && a.Dev == b.Dev && a.Ino == b.Ino
}

// Digest is the SHA-256 of a file, links followed.
func (r *Root) Digest(name string) (d tree.Digest, err error) {
	fd, err := r.Open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return d, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return d, err
	}
	h.Sum(d[:0])
	return d, nil
}

// Rename moves a file within its folder.
func (r *Root) Rename(from, to string) error {
	d, base, err := r.Parent(from)
	if err != nil {
		return err
	}
	if err := unix.Renameat(d.FD, base, d.FD, path.Base(to)); err != nil {
		return &fs.PathError{Op: "rename", Path: "/" + from, Err: err}
	}
	return nil
}

// WriteTimed writes a file in place, with its time.
func (r *Root) WriteTimed(name string, data []byte, mode uint32, mtime int64) error {
	d, base, err := r.Parent(name)
	if err != nil {
		return err
	}
	if err := WriteAt(d.FD, base, data, mode); err != nil {
		return &fs.PathError{Op: "write", Path: "/" + name, Err: err}
	}
	return SetTime(d.FD, base, mtime)
}

// SetTime sets the time of a name itself.
func SetTime(dirfd int, base string, mtime int64) error {
	ts := []unix.Timespec{{Sec: mtime}, {Sec: mtime}}
	return unix.UtimesNanoAt(dirfd, base, ts, unix.AT_SYMLINK_NOFOLLOW)
}

// MakeNode makes a device node; EPERM where a user namespace may not.
func MakeNode(dirfd int, base string, e *tree.Entry) error {
	kind := uint32(unix.S_IFCHR)
	if e.Type == tree.Block {
		kind = unix.S_IFBLK
	}
	return unix.Mknodat(dirfd, base, kind|0o600, int(unix.Mkdev(e.Major, e.Minor)))
}

// WriteFile makes a file from what content writes. Nothing is synced: what
// matters is kept elsewhere until the whole tree is finished.
func (r *Root) WriteFile(dirfd int, base string, a Attrs, content func(*os.File) error) error {
	fd, err := unix.Openat(dirfd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	err = content(f)
	if err == nil {
		err = r.Chown(a.UID, a.GID, func() error { return unix.Fchown(fd, a.UID, a.GID) })
	}
	if err == nil {
		err = unix.Fchmod(fd, a.Mode)
	}
	if err == nil {
		ts := [2]unix.Timespec{{Sec: a.MTime}, {Sec: a.MTime}}
		err = unix.UtimesNanoAt(fd, "", ts[:], unix.AT_EMPTY_PATH)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Apply sets owner, mode and time of something that is not a file. It must not
// follow a link, and base was made by us just now.
func (r *Root) Apply(dirfd int, base string, t tree.Type, a Attrs) error {
	err := r.Chown(a.UID, a.GID, func() error { return unix.Fchownat(dirfd, base, a.UID, a.GID, unix.AT_SYMLINK_NOFOLLOW) })
	if err == nil && t != tree.Symlink {
		err = unix.Fchmodat(dirfd, base, a.Mode, 0)
	}
	if err == nil {
		err = SetTime(dirfd, base, a.MTime)
	}
	return err
}

// lastID is the last id of a tree. What is mapped beyond it in a worker is the
// caller, root perhaps, to whom no file of a tree may belong.
const lastID = 65535

// Chown is left out where the caller may not give files away (only in tests
// that run as a normal user).
func (r *Root) Chown(uid, gid int, do func() error) error {
	if uid < 0 || uid > lastID || gid < 0 || gid > lastID {
		return fmt.Errorf("its owner %d:%d is outside the ids 0 to %d of a tree", uid, gid, lastID)
	}
	if r.KeepOwner {
		return nil
	}
	return do()
}

// Private makes a folder its owner's alone.
func (r *Root) Private(dirfd int, base string, uid int) error {
	err := r.Chown(uid, 0, func() error { return unix.Fchownat(dirfd, base, uid, 0, unix.AT_SYMLINK_NOFOLLOW) })
	if err == nil {
		err = unix.Fchmodat(dirfd, base, 0o700, 0)
	}
	return err
}
