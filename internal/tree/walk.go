package tree

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// walker finds the folders of paths below a root without following symbolic
// links, and remembers the last one, since manifests come in path order. It is
// for one goroutine.
type walker struct {
	root int
	path string // of fd
	fd   int
}

func newWalker(root int) *walker { return &walker{root: root, path: ".", fd: root} }

func (w *walker) close() {
	if w.fd != w.root {
		unix.Close(w.fd)
	}
	w.path, w.fd = ".", w.root
}

// parent gives a descriptor of the folder that holds a path, valid until the
// next call, and the name in it.
func (w *walker) parent(path string) (fd int, name string, err error) {
	dir := Parent(path)
	name = path
	if dir != "." {
		name = path[len(dir)+1:]
	}
	if dir != w.path {
		w.close()
		if dir == "." {
			return w.root, name, nil
		}
		fd, err := openBeneath(w.root, dir, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return -1, "", fmt.Errorf("opening the folder %q: %w", dir, err)
		}
		w.path, w.fd = dir, fd
	}
	return w.fd, name, nil
}

func (w *walker) openFolder(path string) (*os.File, error) {
	fd, err := openBeneath(w.root, path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// noOpenat2 is set where the kernel or a filter does not offer openat2(2).
var noOpenat2 atomic.Bool

// openBeneath opens a path below root; a symbolic link anywhere in it is an
// error, as is everything that leads out.
func openBeneath(root int, path string, flags int) (int, error) {
	flags |= unix.O_CLOEXEC | unix.O_NOFOLLOW
	if !noOpenat2.Load() {
		how := unix.OpenHow{Flags: uint64(flags),
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
		for {
			fd, err := unix.Openat2(root, path, &how)
			switch {
			case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
				noOpenat2.Store(true)
				return openSteps(root, path, flags)
			case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
				continue
			}
			return fd, err
		}
	}
	return openSteps(root, path, flags)
}

// openSteps opens a path one component at a time.
func openSteps(root int, path string, flags int) (int, error) {
	at := root
	for {
		part, rest, more := strings.Cut(path, "/")
		f := flags
		if more {
			f = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		}
		var fd int
		err := error(unix.ELOOP) // what openat2 says of ".."
		if part != ".." {
			fd, err = unix.Openat(at, part, f, 0)
		}
		if at != root {
			unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, path = fd, rest
	}
}
