package install

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// Devices lists the device nodes that were left out, because a user namespace
// may not make any. They belong in the manifest.
func (in *Installer) Devices() []tree.Entry { return in.devices }

func (in *Installer) leaveOut(e *tree.Entry, name string, a attrs) {
	left := *e
	left.Path, left.UID, left.GID, left.Mode, left.MTime = name, uint32(a.uid), uint32(a.gid), a.mode, a.mtime
	in.devices = append(in.devices, left)
}

// devFolder is what a program finds in /dev before a kernel or a container
// mounts its own there; makedev(8) and mmdebstrap agree on it.
var devFolder = []tree.Entry{
	{Path: "dev/console", Type: tree.Char, Mode: 0o666, Major: 5, Minor: 1},
	{Path: "dev/fd", Type: tree.Symlink, Mode: 0o777, Target: "/proc/self/fd"},
	{Path: "dev/full", Type: tree.Char, Mode: 0o666, Major: 1, Minor: 7},
	{Path: "dev/null", Type: tree.Char, Mode: 0o666, Major: 1, Minor: 3},
	{Path: "dev/ptmx", Type: tree.Char, Mode: 0o666, Major: 5, Minor: 2},
	{Path: "dev/pts", Type: tree.Dir, Mode: 0o755},
	{Path: "dev/random", Type: tree.Char, Mode: 0o666, Major: 1, Minor: 8},
	{Path: "dev/shm", Type: tree.Dir, Mode: 0o755},
	{Path: "dev/stderr", Type: tree.Symlink, Mode: 0o777, Target: "/proc/self/fd/2"},
	{Path: "dev/stdin", Type: tree.Symlink, Mode: 0o777, Target: "/proc/self/fd/0"},
	{Path: "dev/stdout", Type: tree.Symlink, Mode: 0o777, Target: "/proc/self/fd/1"},
	{Path: "dev/tty", Type: tree.Char, Mode: 0o666, Major: 5, Minor: 0},
	{Path: "dev/urandom", Type: tree.Char, Mode: 0o666, Major: 1, Minor: 9},
	{Path: "dev/zero", Type: tree.Char, Mode: 0o666, Major: 1, Minor: 5},
}

// fillDev makes what is missing in /dev.
func (in *Installer) fillDev() error {
	if !in.root.exists("dev") {
		return nil
	}
	for i := range devFolder {
		e := &devFolder[i]
		if _, err := in.root.lstat(e.Path); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return err
			}
			continue
		}
		if err := in.makeDev(e); err != nil {
			return &fs.PathError{Op: "making", Path: "/" + e.Path, Err: err}
		}
	}
	return nil
}

func (in *Installer) makeDev(e *tree.Entry) error {
	d, base, err := in.root.parent(e.Path)
	if err != nil {
		return err
	}
	a := attrs{mode: e.Mode, mtime: in.opt.Epoch}
	switch e.Type {
	case tree.Dir:
		err = unix.Mkdirat(d.fd, base, 0o700)
	case tree.Symlink:
		err = unix.Symlinkat(e.Target, d.fd, base)
	default:
		if err = mknod(d.fd, base, e); err == unix.EPERM {
			in.leaveOut(e, e.Path, a)
			return nil
		}
	}
	if err != nil {
		return err
	}
	return in.apply(d.fd, base, e.Type, a)
}
