package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A tree is foreign: its /dev, /etc or any folder may be a symbolic link that
// points out of it. All paths inside a tree are therefore opened by the kernel
// with the tree as root (openat2, RESOLVE_IN_ROOT) and used through the
// descriptor, never by name.

// openIn opens name inside the tree at root.
func openIn(root *os.File, name string, flags int) (*os.File, error) {
	how := &unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(int(root.Fd()), name, how)
		if err == unix.EINTR || err == unix.EAGAIN { // EAGAIN: a rename raced
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

func openRoot(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// fdPath names an open file for calls that take paths only.
func fdPath(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

// points are the mount points that were missing in a tree and have to go again.
type points struct {
	root *os.File
	made []made
}

type made struct {
	parent *os.File
	name   string
	dir    bool
}

// makePoints makes the mount points cmd needs, before the mounts: they are then
// seen and removed from outside of the private mounts.
func makePoints(cmd Command) (*points, error) {
	p := &points{}
	root, err := openRoot(cmd.Root)
	if err != nil {
		return p, err
	}
	p.root = root
	for _, dir := range []string{"dev", "proc"} {
		if err := p.ensure(dir, true); err != nil {
			return p, err
		}
	}
	if cmd.RunTmpfs {
		if err := p.ensure("run", true); err != nil {
			return p, err
		}
	}
	if cmd.Network && cmd.Resolv != "" {
		if err := p.ensure("etc/resolv.conf", false); err != nil {
			return p, err
		}
	}
	for _, b := range cmd.Binds {
		st, err := os.Stat(b.Source)
		if err != nil {
			return p, fmt.Errorf("binding %s: %w", b.Source, err)
		}
		if err := p.ensure(b.Target, st.IsDir()); err != nil {
			return p, err
		}
	}
	return p, nil
}

// ensure makes name and its missing parents. A dangling symbolic link is
// followed: what it points at is made.
func (p *points) ensure(name string, dir bool) error {
	return p.ensureDepth(name, dir, 0)
}

func (p *points) ensureDepth(name string, dir bool, depth int) error {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	f, err := openIn(p.root, orDot(name), unix.O_PATH)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, unix.ENOENT) || depth > 40 {
		return fmt.Errorf("making mount point /%s: %w", name, err)
	}
	if err := p.ensureDepth(path.Dir(name), true, depth+1); err != nil {
		return err
	}
	parent, err := openIn(p.root, path.Dir(name), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("making mount point /%s: %w", name, err)
	}
	base := path.Base(name)
	if target, ok := readLink(parent, base); ok {
		parent.Close()
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name), target)
		}
		return p.ensureDepth(target, dir, depth+1)
	}
	if err := makeAt(parent, base, dir); err != nil {
		parent.Close()
		return fmt.Errorf("making mount point /%s: %w", name, err)
	}
	p.made = append(p.made, made{parent, base, dir})
	return nil
}

func orDot(name string) string {
	if name == "" {
		return "."
	}
	return name
}

func readLink(dir *os.File, name string) (string, bool) {
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(int(dir.Fd()), name, buf)
	if err != nil {
		return "", false
	}
	return string(buf[:n]), true
}

func makeAt(parent *os.File, name string, dir bool) error {
	if dir {
		return unix.Mkdirat(int(parent.Fd()), name, 0o755)
	}
	fd, err := unix.Openat(int(parent.Fd()), name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// remove takes away what ensure made, deepest first. What the program has
// filled meanwhile stays.
func (p *points) remove() {
	for i := len(p.made) - 1; i >= 0; i-- {
		m := p.made[i]
		p.removeOne(m)
		m.parent.Close()
	}
	if p.root != nil {
		p.root.Close()
	}
}

func (p *points) removeOne(m made) {
	fd := int(m.parent.Fd())
	if m.dir {
		unix.Unlinkat(fd, m.name, unix.AT_REMOVEDIR)
		return
	}
	var st unix.Stat_t
	if unix.Fstatat(fd, m.name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == 0 {
		unix.Unlinkat(fd, m.name, 0)
	}
}
