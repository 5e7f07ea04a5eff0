package debfile

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"slipway/internal/distro/archived"
)

// Unpack reads the package in a file, checks that it is the wanted one, and
// writes it to sink: first the control members, then the data in archive
// order. It returns the control paragraph. After an error the sink holds
// part of the package and must be thrown away.
func Unpack(ctx context.Context, file string, want Want, sink Sink, limits Limits) (Paragraph, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("opening package: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("opening package: %w", err)
	}
	name := want.Package
	if name == "" {
		name = filepath.Base(file)
	}
	return UnpackFrom(ctx, name, f, st.Size(), want, sink, limits)
}

// UnpackFrom is Unpack for bytes that are not a file; name is for errors.
func UnpackFrom(ctx context.Context, name string, r io.ReaderAt, size int64, want Want, sink Sink, limits Limits) (Paragraph, error) {
	d := &reader{name: name, r: r, size: size, limits: limits.Or(DefaultLimits)}
	members, err := d.readControl()
	if err != nil {
		return nil, err
	}
	para, err := d.paragraph(members)
	if err != nil {
		return nil, err
	}
	if err := want.check(para); err != nil {
		return nil, d.fail(d.layout.control.name, err)
	}
	for _, m := range members {
		if err := sink.AddControl(m.name, m.mode, m.mtime, m.data); err != nil {
			return nil, err
		}
	}
	c := converter{sink: sink, limits: d.limits}
	if !has(members, "md5sums") {
		c.sums = map[string]string{}
	}
	if err := d.readData(ctx, &c); err != nil {
		return nil, err
	}
	return para, c.finish()
}

// reader is one package being read.
type reader struct {
	name   string
	r      io.ReaderAt
	size   int64
	limits Limits
	layout layout
}

func (d *reader) fail(member string, err error) error {
	return &Error{Package: d.name, Member: member, Err: err}
}

// controlMember is one file of the control archive.
type controlMember struct {
	name  string
	mode  uint32
	mtime int64
	data  []byte
}

func has(members []controlMember, name string) bool {
	for _, m := range members {
		if m.name == name {
			return true
		}
	}
	return false
}

// readControl reads the control archive into memory.
func (d *reader) readControl() ([]controlMember, error) {
	var err error
	if d.layout, err = readLayout(d.r, d.size); err != nil {
		return nil, d.fail("", err)
	}
	m := d.layout.control
	var members []controlMember
	err = d.walk(context.Background(), m, d.limits.Control, func(h *tar.Header, content io.Reader) error {
		name := path.Clean(h.Name)
		switch {
		case h.Typeflag == tar.TypeDir && name == ".":
			return nil
		case h.Typeflag != tar.TypeReg || strings.ContainsAny(name, "/\n") || name == "..":
			return fmt.Errorf("%w: member %q is no plain file", ErrFormat, h.Name)
		case has(members, name):
			return fmt.Errorf("%w: member %q appears twice", ErrFormat, name)
		}
		data, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		members = append(members, controlMember{name, uint32(h.Mode) & 0o7777, h.ModTime.Unix(), data})
		return nil
	})
	if err != nil {
		return nil, d.fail(m.name, err)
	}
	return members, nil
}

func (d *reader) paragraph(members []controlMember) (Paragraph, error) {
	for _, m := range members {
		if m.name != "control" {
			continue
		}
		p, rest, err := ParseParagraph(m.data)
		if err == nil && strings.TrimSpace(string(rest)) != "" {
			err = fmt.Errorf("%w: more than one paragraph", ErrFormat)
		}
		if err == nil {
			err = Want{}.check(p)
		}
		if err != nil {
			return nil, d.fail(d.layout.control.name, fmt.Errorf("control: %w", err))
		}
		return p, nil
	}
	return nil, d.fail(d.layout.control.name, fmt.Errorf("%w: no control file", ErrFormat))
}

func (d *reader) readData(ctx context.Context, c *converter) error {
	m := d.layout.data
	if err := d.walk(ctx, m, d.limits.Total, c.entry); err != nil {
		return d.fail(m.name, err)
	}
	return nil
}

// walk calls f for each entry of a tar member, and reads the member to its
// very end, so that the check sums behind the archive are compared too.
func (d *reader) walk(ctx context.Context, m member, total int64, f func(*tar.Header, io.Reader) error) error {
	z, err := m.open(d.r)
	if err != nil {
		return err
	}
	defer z.Close()
	plain := archived.Bound(z, m.size, total, d.limits.Ratio, ErrLimit)
	return archived.Each(ctx, plain, d.limits.Entries, ErrLimit, f)
}
