// Package formats is the table of image formats: which suffix of an output
// names which writer.
package formats

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/image"
	"slipway/internal/image/compress"
	"slipway/internal/image/cpio"
	"slipway/internal/image/directory"
	"slipway/internal/image/erofs"
	"slipway/internal/image/oci"
	"slipway/internal/image/squashfs"
	"slipway/internal/image/tarball"
	"slipway/internal/tree"
)

// table lists longer suffixes before those that they end with.
var table = []struct {
	suffix string
	writer image.Writer
}{
	{".oci.tar", oci.Writer{Compression: compress.Gzip}},
	{".tar.zst", tarball.Writer{Compression: tarball.Zstd}},
	{".tar.gz", tarball.Writer{Compression: tarball.Gzip}},
	{".tar.xz", tarball.Writer{Compression: tarball.XZ}},
	{".tar", tarball.Writer{}},
	{".cpio.zst", cpio.Writer{Compression: compress.Zstd}},
	{".cpio.gz", cpio.Writer{Compression: compress.Gzip}},
	{".cpio.xz", cpio.Writer{Compression: compress.XZ}},
	{".cpio", cpio.Writer{}},
	{".squashfs", squashfs.Writer{}},
	{".erofs", erofs.Writer{}},
}

// bootable are the suffixes of what boots by itself: the build makes these,
// for they are more than a tree. See Bootable.
var bootable = []string{".raw", ".qcow2", ".ext4", ".efi"}

// Suffixes lists what an output may end with.
func Suffixes() []string {
	out := []string{"/"}
	for _, f := range table {
		out = append(out, f.suffix)
	}
	return append(out, bootable...)
}

// Bootable tells whether an output is more than a tree: a disk, a file system
// with all that a guest needs, or a unified kernel image. Build does not write
// those.
func Bootable(out string) bool { return bootableSuffix(out) != "" }

// bootableSuffix is the suffix of such an output; empty for others.
func bootableSuffix(out string) string {
	name := filepath.Base(out)
	for _, suffix := range bootable {
		if !IsDir(out) && strings.HasSuffix(name, suffix) && name != suffix {
			return suffix
		}
	}
	return ""
}

// Suffix is the suffix of an output, "/" for a folder; empty for a name that
// means nothing.
func Suffix(out string) string {
	if IsDir(out) {
		return "/"
	}
	for _, f := range table {
		if name := filepath.Base(out); strings.HasSuffix(name, f.suffix) && name != f.suffix {
			return f.suffix
		}
	}
	return bootableSuffix(out)
}

// IsDir reports whether an output means a folder: it ends with a slash, or is
// one.
func IsDir(out string) bool {
	if strings.HasSuffix(out, "/") {
		return true
	}
	st, err := os.Stat(out)
	return err == nil && st.IsDir()
}

// Check reports whether some format belongs to the name of an output; the
// error lists them.
func Check(out string) error {
	if IsDir(out) || Bootable(out) {
		return nil
	}
	_, err := lookup(out)
	return err
}

func lookup(out string) (image.Writer, error) {
	name := filepath.Base(out)
	for _, f := range table {
		if strings.HasSuffix(name, f.suffix) && name != f.suffix {
			return f.writer, nil
		}
	}
	return nil, fmt.Errorf("no image format belongs to the name %s; end it with one of %s (a slash means a folder)",
		out, strings.Join(Suffixes(), " "))
}

// Build writes a tree to out in the format that its name asks for, with the
// sidecar of that format beside it.
func Build(ctx context.Context, out string, m *tree.Manifest, c tree.Content, opt image.Options) error {
	if IsDir(out) {
		return directory.Write(ctx, out, m, c, opt)
	}
	w, err := lookup(out)
	if err != nil {
		return err
	}
	if o, ok := w.(oci.Writer); ok {
		o.Config.Architecture = opt.Arch
		w = o
	}
	_, err = image.WriteFile(out, opt.Private, func(f io.Writer) error { return w.Write(ctx, f, m, c, opt) })
	return err
}

// Verify checks an image against its sidecar or its own checksum.
func Verify(path string) error { return image.Verify(path, tarball.Decompress) }

// readers read a written image back, by suffix; longer ones first.
var readers = []struct {
	suffix string
	read   func(path string) (*tree.Manifest, tree.Content, error)
}{
	{".cpio.zst", cpio.Read}, {".cpio.gz", cpio.Read}, {".cpio.xz", cpio.Read}, {".cpio", cpio.Read},
	{".squashfs", squashfs.Read},
}

// Read verifies an image and reads it back as a tree. A folder is scanned;
// there is nothing to verify it against.
func Read(ctx context.Context, path string) (*tree.Manifest, tree.Content, error) {
	if IsDir(path) {
		m, err := tree.Scan(ctx, path, tree.ScanOptions{})
		if err != nil {
			return nil, nil, err
		}
		return m, tree.DirContent(path, m), nil
	}
	if suffix := bootableSuffix(path); suffix != "" {
		return nil, nil, fmt.Errorf("reading %s: a %s image is not read back as a tree; compare a .tar of the machine", path, suffix)
	}
	if err := Verify(path); err != nil {
		return nil, nil, err
	}
	for _, suffix := range []string{".erofs", ".oci.tar"} {
		if strings.HasSuffix(path, suffix) {
			return nil, nil, fmt.Errorf("reading %s: a %s is not read back as a tree; compare a .tar of the machine", path, suffix)
		}
	}
	for _, r := range readers {
		if strings.HasSuffix(path, r.suffix) {
			return r.read(path)
		}
	}
	return tarball.Read(path)
}
