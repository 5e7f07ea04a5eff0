package apkfile

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/store"
	"slipway/internal/tree"
)

// Want is what the index said about a package; empty fields are not compared.
type Want struct {
	Name, Version, Identity string
}

func (w Want) check(i *Info) error {
	for _, c := range []struct{ what, want, got string }{
		{"name", w.Name, i.Name}, {"version", w.Version, i.Version}, {"identity", w.Identity, i.Identity},
	} {
		if c.want != "" && c.want != c.got {
			return fmt.Errorf("%w: its %s is %.80q, want %q", ErrMismatch, c.what, c.got, c.want)
		}
	}
	return nil
}

// Sink takes a package's content; it is the store's PackWriter in all but tests.
// Add is called in archive order.
type Sink interface {
	Add(e tree.Entry, content io.Reader) error
	AddControl(name string, mode uint32, mtime int64, data []byte)
}

// ToPack makes the pack of a package that was fetched to a file. The pack is
// named by digest, the file's SHA-256, which the caller has verified. Nothing
// is visible in the store before the whole package was read.
func ToPack(ctx context.Context, s *store.Store, path, digest string, want Want) error {
	w, err := s.NewPackWriter(digest)
	if err != nil {
		return err
	}
	if err := unpackFile(ctx, path, want, w); err != nil {
		w.Abort()
		return err
	}
	return w.Commit()
}

func unpackFile(ctx context.Context, path string, want Want, sink Sink) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening package: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("opening package: %w", err)
	}
	name := want.Name
	if name == "" {
		name = filepath.Base(path)
	}
	return Unpack(ctx, name, f, st.Size(), want, sink, Limits{})
}

// Unpack reads the whole package, checks that it is the wanted one and that its
// parts belong together, and writes it to sink. After an error the sink holds
// a part of the package and must be thrown away.
func Unpack(ctx context.Context, name string, r io.ReaderAt, size int64, want Want, sink Sink, limits Limits) error {
	limits = limits.Or(DefaultLimits)
	i, err := ReadFrom(name, r, size, limits)
	if err != nil {
		return err
	}
	if err := want.check(i); err != nil {
		return &Error{name, "control", err}
	}
	sink.AddControl(IdentityMember, 0o644, 0, []byte(i.Identity))
	for _, m := range i.Control.members {
		if short, ok := strings.CutPrefix(m.name, "."); ok && (short == InfoMember || isScript(short)) {
			sink.AddControl(short, m.mode, m.mtime, m.data)
		}
	}
	c := &converter{sink: sink, limits: limits, files: map[string]int{}, folders: map[string]bool{}}
	if err := i.readData(ctx, r, c); err != nil {
		return &Error{name, "data", err}
	}
	c.finish()
	return nil
}

func isScript(name string) bool {
	for _, s := range Scripts {
		if s == name {
			return true
		}
	}
	return false
}
