package apply

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// root gives access to the tree by the machine's own absolute paths. Links are
// followed as the machine would, with the tree as "/": none leads out.
type root struct {
	fd    int
	chown func(path string, uid, gid int) error
}

func openRoot(dir string, chown func(string, int, int) error) (*root, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the tree %s: %w", dir, err)
	}
	return &root{fd: fd, chown: chown}, nil
}

func (r *root) close() { unix.Close(r.fd) }

// open opens a path of the machine (openat2, RESOLVE_IN_ROOT).
func (r *root) open(name string, flags int, mode uint32) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(r.fd, clean(name), &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case err == unix.EINTR || err == unix.EAGAIN:
			continue // a rename elsewhere made the resolution unsafe; the kernel asks for another try
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
}

// clean makes a path relative to the root; ".." stops there.
func clean(name string) string {
	rel := strings.TrimPrefix(path.Clean("/"+name), "/")
	if rel == "" {
		return "."
	}
	return rel
}

// mostRead bounds files that are read whole.
const mostRead = 64 << 20

func (r *root) readFile(name string) ([]byte, error) {
	f, err := r.open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostRead+1))
	if err == nil && len(data) > mostRead {
		err = fmt.Errorf("reading %s: it is larger than %d bytes", name, mostRead)
	}
	return data, err
}

// exists follows links.
func (r *root) exists(name string) bool {
	f, err := r.open(name, unix.O_PATH, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

func (r *root) isDir(name string) bool {
	f, err := r.open(name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// readDir lists a folder's names, sorted; an absent folder is empty.
func (r *root) readDir(name string) ([]entry, error) {
	f, err := r.open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	return r.entries(f, names)
}

// readLink returns a link's target without following it.
func (r *root) readLink(name string) (string, error) {
	dir, base, err := r.parent(name)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(dir.Fd()), base, buf)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(buf[:n]), nil
}

// parent opens the folder that a path's last component is in.
func (r *root) parent(name string) (*os.File, string, error) {
	rel := clean(name)
	if rel == "." {
		return nil, "", &fs.PathError{Op: "open", Path: name, Err: errors.New("the root itself cannot be replaced")}
	}
	dir, err := r.open(path.Dir(rel), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	return dir, path.Base(rel), err
}
