// Package intree changes a tree whose names are foreign: links in it may point
// anywhere, so that every name is resolved by the kernel with the tree as the
// root (openat2, RESOLVE_IN_ROOT), and used through descriptors.
//
// It is what families have in common when they put packages into trees: files
// with owners, modes and times, device nodes that a user namespace cannot make,
// names of users and groups, and what a finished tree must not keep. It knows
// no package format and runs no program.
package intree

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// Root is the tree's directory. All names are relative to it, without a
// leading slash; "." is the directory itself.
type Root struct {
	FD   int             // of the directory
	path string          // as the kernel names it, for realPath
	dirs map[string]*Dir // opened folders by name

	// KeepOwner leaves owners alone; for tests as a normal user.
	KeepOwner bool
	devices   []tree.Entry
}

// Dir is an opened folder.
type Dir struct {
	FD   int
	real string // its real path relative to the root, "" for the root; filled on demand
	have bool
}

// openDirs is how many folders are kept open between two entries.
const openDirs = 256

// Open opens a tree. The caller closes it.
func Open(name string) (*Root, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the tree %s: %w", name, err)
	}
	r := &Root{FD: fd, dirs: map[string]*Dir{}}
	if r.path, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil {
		r.path = name
	}
	return r, nil
}

// Close releases the descriptors.
func (r *Root) Close() {
	r.Forget()
	unix.Close(r.FD)
}

// Forget closes all folders: their names may mean something else now.
func (r *Root) Forget() {
	for _, d := range r.dirs {
		unix.Close(d.FD)
	}
	clear(r.dirs)
}

// Trim closes folders when too many are open. Folders that were returned
// before must not be used afterwards.
func (r *Root) Trim() {
	if len(r.dirs) > openDirs {
		r.Forget()
	}
}

// Open resolves a name with the tree as "/", following links inside it.
func (r *Root) Open(name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat2(r.FD, name, &unix.OpenHow{
			Flags: uint64(flags | unix.O_CLOEXEC), Mode: uint64(mode),
			Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		return fd, err
	}
}

// Folder opens a folder, following links to it.
func (r *Root) Folder(name string) (*Dir, error) {
	if d := r.dirs[name]; d != nil {
		return d, nil
	}
	fd, err := r.Open(name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	d := &Dir{FD: fd}
	r.dirs[name] = d
	return d, nil
}

// Parent opens the folder that holds name, and gives the last component.
func (r *Root) Parent(name string) (*Dir, string, error) {
	d, err := r.Folder(path.Dir(name))
	if err != nil {
		return nil, "", &fs.PathError{Op: "open", Path: "/" + path.Dir(name), Err: err}
	}
	return d, path.Base(name), nil
}

// RealPath is where base in d really is, relative to the root.
func (r *Root) RealPath(d *Dir, base string) string {
	if !d.have {
		target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", d.FD))
		if err != nil {
			return base
		}
		d.real = strings.TrimPrefix(strings.TrimPrefix(target, r.path), "/")
		d.have = true
	}
	return path.Join(d.real, base)
}

// Lstat does not follow a link in the last component.
func (r *Root) Lstat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	if name == "." {
		return st, unix.Fstatat(r.FD, "", &st, unix.AT_EMPTY_PATH)
	}
	d, base, err := r.Parent(name)
	if err != nil {
		return st, err
	}
	err = unix.Fstatat(d.FD, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

// Stat follows links inside the tree.
func (r *Root) Stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	fd, err := r.Open(name, unix.O_PATH, 0)
	if err != nil {
		return st, err
	}
	defer unix.Close(fd)
	return st, unix.Fstatat(fd, "", &st, unix.AT_EMPTY_PATH)
}

// Exists reports whether name can be reached, following links.
func (r *Root) Exists(name string) bool {
	_, err := r.Stat(name)
	return err == nil
}

// mostRead bounds the files of the database, in bytes.
const mostRead = 256 << 20

// Read returns a file's content; a missing file is fs.ErrNotExist. A script may
// have put a fifo there: it is not waited for.
func (r *Root) Read(name string) ([]byte, error) {
	fd, err := r.Open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "/" + name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > mostRead {
		return nil, &fs.PathError{Op: "read", Path: "/" + name, Err: fmt.Errorf("it is no plain file of at most %d bytes", mostRead)}
	}
	b := make([]byte, st.Size()+1)
	n := 0
	for {
		k, err := f.Read(b[n:])
		n += k
		if k == 0 || err != nil {
			return b[:n], nil
		}
		if n == len(b) {
			b = append(b, make([]byte, len(b))...)
		}
	}
}

// Write replaces a file as a whole: it is written under another name first.
func (r *Root) Write(name string, data []byte, mode uint32) error {
	d, base, err := r.Parent(name)
	if err != nil {
		return err
	}
	temp := base + "-new"
	if err := WriteAt(d.FD, temp, data, mode); err != nil {
		return &fs.PathError{Op: "write", Path: "/" + name, Err: err}
	}
	if err := unix.Renameat(d.FD, temp, d.FD, base); err != nil {
		return &fs.PathError{Op: "rename", Path: "/" + name, Err: err}
	}
	return nil
}

// WriteAt writes a file in an opened folder, in place.
func WriteAt(dirfd int, base string, data []byte, mode uint32) error {
	fd, err := unix.Openat(dirfd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil && err != unix.EINTR {
			unix.Close(fd)
			return err
		}
		data = data[max(n, 0):]
	}
	err = unix.Fchmod(fd, mode)
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	return err
}

// MkdirAll makes a folder and its parents, and leaves those that are there.
func (r *Root) MkdirAll(name string, mode uint32) error {
	if _, err := r.Folder(name); err == nil {
		return nil
	}
	if parent := path.Dir(name); parent != "." {
		if err := r.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	d, base, err := r.Parent(name)
	if err != nil {
		return err
	}
	if err := unix.Mkdirat(d.FD, base, 0o700); err != nil {
		return &fs.PathError{Op: "mkdir", Path: "/" + name, Err: err}
	}
	return unix.Fchmodat(d.FD, base, mode, 0)
}

// Remove unlinks a file if it is there.
func (r *Root) Remove(name string) error {
	d, base, err := r.Parent(name)
	if err == nil {
		err = unix.Unlinkat(d.FD, base, 0)
	}
	if err != nil && !os.IsNotExist(err) {
		return &fs.PathError{Op: "remove", Path: "/" + name, Err: err}
	}
	return nil
}

// RemoveAll removes a file or a folder with what is in it. Links are removed,
// not followed; what is mounted below is an error and stays.
func (r *Root) RemoveAll(name string) error {
	d, base, err := r.Parent(name)
	if err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	err = removeAt(d.FD, base)
	r.Forget()
	if err != nil {
		return &fs.PathError{Op: "remove", Path: "/" + name, Err: err}
	}
	return nil
}

func removeAt(dirfd int, base string) error {
	err := unix.Unlinkat(dirfd, base, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return err
	}
	fd, err := unix.Openat2(dirfd, base, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := removeAt(fd, n); err != nil {
			return err
		}
	}
	return unix.Unlinkat(dirfd, base, unix.AT_REMOVEDIR)
}

// List gives the names in a folder; a missing folder has none.
func (r *Root) List(name string) ([]string, error) {
	fd, err := r.Open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err == unix.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "/" + name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return f.Readdirnames(-1)
}
