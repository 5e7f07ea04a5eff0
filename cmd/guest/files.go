package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"slipway/internal/guest/wire"
)

func failure(err error) wire.Reply {
	switch {
	case err == nil:
		return wire.Reply{}
	case errors.Is(err, fs.ErrNotExist):
		return wire.Reply{Error: err.Error(), Code: "not-exist"}
	case errors.Is(err, fs.ErrPermission):
		return wire.Reply{Error: err.Error(), Code: "permission"}
	}
	return wire.Reply{Error: err.Error()}
}

func fileOperation(st *wire.Stream) wire.Reply {
	req := st.Request
	switch req.Op {
	case "read":
		return failure(readFile(st))
	case "write":
		return failure(writeFile(st))
	case "stat":
		s, err := describe(req.Path, req.Follow)
		r := failure(err)
		r.Stat = s
		return r
	case "list":
		return list(req.Path)
	case "mkdir":
		return failure(makeDir(req.Path, req.Mode))
	case "symlink":
		return failure(os.Symlink(req.Target, req.Path))
	}
	return failure(os.RemoveAll(req.Path))
}

func readFile(st *wire.Stream) error {
	f, err := os.Open(st.Request.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if s, err := f.Stat(); err != nil || s.IsDir() {
		return errors.Join(err, errors.New(st.Request.Path+" is a folder"))
	}
	_, err = io.Copy(st.Writer(wire.Output), f)
	return err
}

// writeFile replaces a file in one step: it is either old or new.
func writeFile(st *wire.Stream) error {
	req := st.Request
	tmp, err := os.CreateTemp(filepath.Dir(req.Path), ".slipway-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if _, err := io.Copy(tmp, st.Reader(wire.Input)); err != nil {
		return err
	}
	if err := syscall.Fchmod(int(tmp.Fd()), req.Mode&0o7777); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), req.Path)
}

func makeDir(path string, mode uint32) error {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return nil
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return syscall.Chmod(path, mode&0o7777)
}

func list(path string) wire.Reply {
	entries, err := os.ReadDir(path)
	if err != nil {
		return failure(err)
	}
	r := wire.Reply{Entries: []wire.Stat{}}
	for _, e := range entries {
		s, err := describe(filepath.Join(path, e.Name()), false)
		if err != nil {
			continue // went away meanwhile
		}
		r.Entries = append(r.Entries, *s)
	}
	return r
}

func describe(path string, follow bool) (*wire.Stat, error) {
	look := os.Lstat
	if follow {
		look = os.Stat
	}
	fi, err := look(path)
	if err != nil {
		return nil, err
	}
	raw := fi.Sys().(*syscall.Stat_t)
	s := &wire.Stat{
		Name: fi.Name(), Type: "other", Mode: raw.Mode & 0o7777, UID: int(raw.Uid), GID: int(raw.Gid),
		Size: fi.Size(), MTime: fi.ModTime().Unix(),
	}
	switch {
	case fi.Mode().IsRegular():
		s.Type = "file"
	case fi.IsDir():
		s.Type = "dir"
	case fi.Mode()&fs.ModeSymlink != 0:
		s.Type = "symlink"
		s.Target, err = os.Readlink(path)
	}
	return s, err
}
