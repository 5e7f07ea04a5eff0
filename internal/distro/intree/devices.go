package intree

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// Devices lists the device nodes that were left out, because a user namespace
// may not make any. They belong in the manifest.
func (r *Root) Devices() []tree.Entry { return r.devices }

// LeaveOut notes a device node that could not be made, where its real name is.
func (r *Root) LeaveOut(e *tree.Entry, name string, a Attrs) {
	left := *e
	left.Path, left.UID, left.GID, left.Mode, left.MTime = name, uint32(a.UID), uint32(a.GID), a.Mode, a.MTime
	r.devices = append(r.devices, left)
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

// FillDev makes what is missing in /dev.
func (r *Root) FillDev(epoch int64) error {
	if !r.Exists("dev") {
		return nil
	}
	for i := range devFolder {
		e := &devFolder[i]
		if _, err := r.Lstat(e.Path); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return err
			}
			continue
		}
		if err := r.makeDev(e, epoch); err != nil {
			return &fs.PathError{Op: "making", Path: "/" + e.Path, Err: err}
		}
	}
	return nil
}

func (r *Root) makeDev(e *tree.Entry, epoch int64) error {
	d, base, err := r.Parent(e.Path)
	if err != nil {
		return err
	}
	a := Attrs{Mode: e.Mode, MTime: epoch}
	switch e.Type {
	case tree.Dir:
		err = unix.Mkdirat(d.FD, base, 0o700)
	case tree.Symlink:
		err = unix.Symlinkat(e.Target, d.FD, base)
	default:
		if err = MakeNode(d.FD, base, e); err == unix.EPERM {
			r.LeaveOut(e, e.Path, a)
			return nil
		}
	}
	if err != nil {
		return err
	}
	return r.Apply(d.FD, base, e.Type, a)
}
