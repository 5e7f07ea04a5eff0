package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"slipway/internal/guest/wire"
)

// CopyIn copies a host file or folder to a path in the machine. A target that
// is a folder gets it under its own name. Everything belongs to root there and
// keeps its permissions; files are replaced in one step each.
func (m *Machine) CopyIn(ctx context.Context, from, to string) error {
	c, err := m.copier(ctx)
	if err != nil {
		return err
	}
	defer c.session.Close()
	if st, err := c.stat(to, true); err == nil && st.Type == "dir" {
		to = path.Join(to, filepath.Base(from))
	}
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		if err := c.in(p, path.Join(to, filepath.ToSlash(rel))); err != nil {
			return fmt.Errorf("copying %s to %s: %w", p, m.Name, err)
		}
		return nil
	})
}

// CopyOut copies a file or folder of the machine to the host. A target that is
// a folder gets it under its own name.
func (m *Machine) CopyOut(ctx context.Context, from, to string) error {
	c, err := m.copier(ctx)
	if err != nil {
		return err
	}
	defer c.session.Close()
	st, err := c.stat(from, true)
	if err != nil {
		return fmt.Errorf("copying %s from %s: %w", from, m.Name, err)
	}
	if s, err := os.Stat(to); err == nil && s.IsDir() {
		to = filepath.Join(to, path.Base(from))
	}
	if err = os.MkdirAll(filepath.Dir(to), 0o777); err == nil {
		err = c.out(from, to, *st)
	}
	if err != nil {
		return fmt.Errorf("copying %s from %s: %w", from, m.Name, err)
	}
	return nil
}

// ReadFile gives the content of a file in the machine, at most max bytes.
func (m *Machine) ReadFile(ctx context.Context, name string, max int64) ([]byte, error) {
	c, err := m.copier(ctx)
	if err != nil {
		return nil, err
	}
	defer c.session.Close()
	st, err := c.session.Open(wire.Request{Op: "read", Path: name})
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(st.Reader(wire.Output), max))
	if err == nil && int64(len(data)) < max {
		_, err = st.Wait(ctx)
	}
	return data, err
}

// copier makes file requests over one connection.
type copier struct {
	ctx     context.Context
	session *wire.Session
}

func (m *Machine) copier(ctx context.Context) (*copier, error) {
	session, err := m.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &copier{ctx, session}, nil
}

func (c *copier) do(req wire.Request) (wire.Reply, error) {
	st, err := c.session.Open(req)
	if err != nil {
		return wire.Reply{}, err
	}
	return st.Wait(c.ctx)
}

func (c *copier) stat(name string, follow bool) (*wire.Stat, error) {
	r, err := c.do(wire.Request{Op: "stat", Path: name, Follow: follow})
	if err != nil {
		return nil, err
	}
	if r.Stat == nil {
		return nil, errors.New("the guest helper described nothing")
	}
	return r.Stat, nil
}

func (c *copier) in(from, to string) error {
	st, err := os.Lstat(from)
	if err != nil {
		return err
	}
	mode := uint32(st.Mode().Perm())
	switch {
	case st.IsDir():
		_, err = c.do(wire.Request{Op: "mkdir", Path: to, Mode: mode})
	case st.Mode()&fs.ModeSymlink != 0:
		var target string
		if target, err = os.Readlink(from); err != nil {
			return err
		}
		_, err = c.do(wire.Request{Op: "symlink", Path: to, Target: target})
	case st.Mode().IsRegular():
		err = c.fileIn(from, to, mode)
	default:
		err = errors.New("only files, folders and symbolic links can be copied")
	}
	return err
}

func (c *copier) fileIn(from, to string, mode uint32) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := c.session.Open(wire.Request{Op: "write", Path: to, Mode: mode})
	if err != nil {
		return err
	}
	if _, err := io.Copy(st.Writer(wire.Input), f); err != nil && !errors.Is(err, wire.ErrClosed) {
		st.Reset()
		return err
	}
	st.Writer(wire.Input).Close()
	_, err = st.Wait(c.ctx)
	return err
}

func (c *copier) out(from, to string, st wire.Stat) error {
	switch st.Type {
	case "dir":
		return c.dirOut(from, to, st)
	case "symlink":
		return os.Symlink(st.Target, to)
	case "file":
		return c.fileOut(from, to, st)
	}
	return errors.New("only files, folders and symbolic links can be copied")
}

// dirOut copies a folder. What the machine says of it may be a lie: names must
// not lead elsewhere, and neither must a link that came under the same name.
func (c *copier) dirOut(from, to string, st wire.Stat) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		if at, statErr := os.Lstat(to); statErr != nil || !at.IsDir() {
			return err
		}
	}
	r, err := c.do(wire.Request{Op: "list", Path: from})
	if err != nil {
		return err
	}
	for _, e := range r.Entries {
		if e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsRune(e.Name, '/') {
			return fmt.Errorf("the machine sent the name %q", e.Name)
		}
		if err := c.out(path.Join(from, e.Name), filepath.Join(to, e.Name), e); err != nil {
			return fmt.Errorf("%s: %w", path.Join(from, e.Name), err)
		}
	}
	return os.Chmod(to, fs.FileMode(st.Mode&0o777))
}

// fileOut writes beside the target and renames, so that a broken connection
// leaves nothing half-written.
func (c *copier) fileOut(from, to string, st wire.Stat) error {
	tmp, err := os.CreateTemp(filepath.Dir(to), ".slipway-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	s, err := c.session.Open(wire.Request{Op: "read", Path: from})
	if err != nil {
		return err
	}
	if _, err := io.Copy(tmp, s.Reader(wire.Output)); err != nil {
		return err
	}
	if _, err := s.Wait(c.ctx); err != nil {
		return err
	}
	if err := tmp.Chmod(fs.FileMode(st.Mode & 0o777)); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), to)
}
