package tree

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// fill writes the content of a file and checks its length and digest.
func (w *treeWriter) fill(f *os.File, e *Entry) error {
	if e.Size == 0 {
		return nil
	}
	if c, ok := w.content.(FileCopier); ok {
		return c.CopyTo(e.Digest, f)
	}
	r, err := w.content.Open(e.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	return copyVerified(f, r, e)
}

// copyVerified copies exactly the content of an entry.
func copyVerified(w io.Writer, r io.Reader, e *Entry) error {
	h := sha256.New()
	buf := xattrBuffers.Get().(*[]byte)
	defer xattrBuffers.Put(buf)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(w, h)}, struct{ io.Reader }{io.LimitReader(r, e.Size+1)}, *buf)
	if err != nil {
		return err
	}
	if got := Digest(h.Sum(nil)); n != e.Size || got != e.Digest {
		return fmt.Errorf("content is wrong: got %d bytes with digest %s, want %d with %s", n, got, e.Size, e.Digest)
	}
	return nil
}

// fileAttributes sets owner, mode, extended attributes and time of an open
// file or folder, in this order: a change of owner clears setuid bits and
// capabilities, and everything changes the time.
func (w *treeWriter) fileAttributes(f *os.File, e *Entry) error {
	fd := int(f.Fd())
	if !w.opt.NoOwners {
		if err := unix.Fchown(fd, int(e.UID), int(e.GID)); err != nil {
			return fmt.Errorf("setting owner %d:%d: %w", e.UID, e.GID, err)
		}
	}
	if err := unix.Fchmod(fd, e.Mode); err != nil {
		return fmt.Errorf("setting mode %#o: %w", e.Mode, err)
	}
	if err := w.eachXattr(e, func(k string, v []byte) error { return unix.Fsetxattr(fd, k, v, 0) }); err != nil {
		return err
	}
	times := e.times()
	return unix.UtimesNanoAt(fd, "", times[:], unix.AT_EMPTY_PATH)
}

// attributes does the same for what cannot be opened without side effects:
// symbolic links, devices, fifos and sockets.
func (w *treeWriter) attributes(dir int, name string, e *Entry) error {
	if !w.opt.NoOwners {
		if err := unix.Fchownat(dir, name, int(e.UID), int(e.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("setting owner %d:%d: %w", e.UID, e.GID, err)
		}
	}
	if e.Type != Symlink { // made by us just now, so it is no symbolic link
		if err := unix.Fchmodat(dir, name, e.Mode, 0); err != nil {
			return fmt.Errorf("setting mode %#o: %w", e.Mode, err)
		}
	}
	path := "/proc/self/fd/" + strconv.Itoa(dir) + "/" + name
	if err := w.eachXattr(e, func(k string, v []byte) error { return unix.Lsetxattr(path, k, v, 0) }); err != nil {
		return err
	}
	times := e.times()
	return unix.UtimesNanoAt(dir, name, times[:], unix.AT_SYMLINK_NOFOLLOW)
}

func (w *treeWriter) eachXattr(e *Entry, set func(string, []byte) error) error {
	if w.opt.NoXattrs || len(e.Xattrs) == 0 {
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(e.Xattrs)) {
		if err := set(k, []byte(e.Xattrs[k])); err != nil {
			return fmt.Errorf("setting the extended attribute %s: %w", k, err)
		}
	}
	return nil
}

// times are access and modification time; the first is not part of a tree.
func (e *Entry) times() [2]unix.Timespec {
	t := unix.Timespec{Sec: e.MTime, Nsec: int64(e.MNsec)}
	return [2]unix.Timespec{t, t}
}
