// Package tarball writes and reads trees as tar archives, plain or compressed.
//
// The archives are in the pax format (POSIX.1-2001): members in the order of
// the manifest with a leading "./", owners as numbers only, extended
// attributes as SCHILY.xattr records, the first name of a hard-link group as
// the file and the others as links to it. Sockets are left out, tar has none;
// sparse files are written in full. The bytes depend on the tree alone, not on
// the number of CPUs.
package tarball

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// Writer writes a tar archive in some compression.
type Writer struct{ Compression Compression }

var _ image.Writer = Writer{}

// Write implements image.Writer.
func (t Writer) Write(ctx context.Context, w io.Writer, m *tree.Manifest, c tree.Content, opt image.Options) error {
	if err := m.Validate(); err != nil {
		return fmt.Errorf("writing a tar archive: %w", err)
	}
	z, err := t.Compression.Writer(w)
	if err != nil {
		return fmt.Errorf("writing a tar archive: %w", err)
	}
	aw := &archiveWriter{tar: tar.NewWriter(z), content: c, opt: opt, buf: make([]byte, 256<<10)}
	for i := range m.Entries {
		if err = ctx.Err(); err != nil {
			break
		}
		if err = aw.add(&m.Entries[i]); err != nil {
			err = fmt.Errorf("%q: %w", m.Entries[i].Path, err)
			break
		}
	}
	if err == nil {
		err = aw.tar.Close()
	}
	if cerr := z.Close(); err == nil { // in any case: it ends goroutines
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("writing a tar archive: %w", err)
	}
	return nil
}

type archiveWriter struct {
	tar     *tar.Writer
	content tree.Content
	opt     image.Options
	buf     []byte
}

func (w *archiveWriter) add(e *tree.Entry) error {
	if e.Type == tree.Socket {
		return nil
	}
	h, err := w.header(e)
	if err != nil {
		return err
	}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg || e.Size == 0 {
		return nil
	}
	r, err := w.content.Open(e.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{w.tar}, struct{ io.Reader }{r}, w.buf)
	if err == nil && n != e.Size {
		err = fmt.Errorf("got %d bytes of content, want %d", n, e.Size)
	}
	return err
}

func memberName(path string, dir bool) string {
	switch {
	case path == ".":
		return "./"
	case dir:
		return "./" + path + "/"
	}
	return "./" + path
}

var typeflags = map[tree.Type]byte{tree.File: tar.TypeReg, tree.Dir: tar.TypeDir, tree.Symlink: tar.TypeSymlink,
	tree.Char: tar.TypeChar, tree.Block: tar.TypeBlock, tree.Fifo: tar.TypeFifo}

func (w *archiveWriter) header(e *tree.Entry) (*tar.Header, error) {
	flag, ok := typeflags[e.Type]
	if !ok {
		return nil, fmt.Errorf("type %q has no place in a tar archive", byte(e.Type))
	}
	sec, nsec := w.opt.Time(e)
	h := &tar.Header{
		Format: tar.FormatPAX, Typeflag: flag, Name: memberName(e.Path, e.Type == tree.Dir),
		Mode: int64(e.Mode), Uid: int(e.UID), Gid: int(e.GID), ModTime: time.Unix(sec, int64(nsec)),
		Size: e.Size, Linkname: e.Target, Devmajor: int64(e.Major), Devminor: int64(e.Minor),
	}
	if !utf8.ValidString(e.Path + e.Target + e.Link) { // POSIX.1-2008, pax: names are UTF-8 unless this is said
		h.PAXRecords = map[string]string{"hdrcharset": "BINARY"}
	}
	if e.Link != "" {
		h.Typeflag, h.Size, h.Linkname, h.Devmajor, h.Devminor = tar.TypeLink, 0, memberName(e.Link, false), 0, 0
		return h, nil // the first name carries the attributes
	}
	for k, v := range e.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = make(map[string]string, len(e.Xattrs))
		}
		h.PAXRecords[xattrPrefix+k] = v
	}
	return h, nil
}

const xattrPrefix = "SCHILY.xattr."
