package debfile

import (
	"context"
	"io"

	"slipway/internal/distro/deb/control"
	"slipway/internal/store"
	"slipway/internal/tree"
)

// ToPack makes the pack of a package that was fetched to file: the pack is
// named by digest, the package's SHA-256 in hexadecimal, which the caller has
// verified. Nothing is visible in the store before the whole package was read.
func ToPack(ctx context.Context, s *store.Store, file, digest string, want Want) error {
	w, err := s.NewPackWriter(digest)
	if err != nil {
		return err
	}
	if _, err := Unpack(ctx, file, want, packSink{w}, Limits{}); err != nil {
		w.Abort()
		return err
	}
	return w.Commit()
}

// WantOf is what an index's package says about itself.
func WantOf(p *control.Package) Want {
	return Want{Package: p.Name, Version: p.Version, Architecture: p.Architecture}
}

// packSink adapts a PackWriter, which reports errors of control members late.
type packSink struct{ w *store.PackWriter }

func (s packSink) Add(e tree.Entry, content io.Reader) error {
	return s.w.Add(e, content)
}

func (s packSink) AddControl(name string, mode uint32, mtime int64, data []byte) error {
	s.w.AddControl(name, mode, mtime, data)
	return nil
}
