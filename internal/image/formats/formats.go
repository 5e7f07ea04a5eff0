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
	"slipway/internal/image/directory"
	"slipway/internal/image/tarball"
	"slipway/internal/tree"
)

// table lists longer suffixes before those that they end with.
var table = []struct {
	suffix string
	writer image.Writer
}{
	{".tar.zst", tarball.Writer{Compression: tarball.Zstd}},
	{".tar.gz", tarball.Writer{Compression: tarball.Gzip}},
	{".tar.xz", tarball.Writer{Compression: tarball.XZ}},
	{".tar", tarball.Writer{}},
}

// later are formats that are named in docs/design.md but not written yet; they
// are told apart from names that mean nothing.
var later = []string{".oci.tar", ".cpio.zst", ".cpio", ".squashfs", ".erofs", ".ext4", ".raw", ".qcow2", ".efi"}

// Suffixes lists what an output may end with.
func Suffixes() []string {
	out := []string{"/"}
	for _, f := range table {
		out = append(out, f.suffix)
	}
	return out
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
	for _, suffix := range later {
		if strings.HasSuffix(out, suffix) {
			return fmt.Errorf("writing %s: the format %s is not there yet; what works today: %s (a slash means a folder)",
				out, suffix, strings.Join(Suffixes(), " "))
		}
	}
	if IsDir(out) {
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
	_, err = image.WriteFile(out, opt.Private, func(f io.Writer) error { return w.Write(ctx, f, m, c, opt) })
	return err
}

// Verify checks an image against its sidecar or its own checksum.
func Verify(path string) error { return image.Verify(path, tarball.Decompress) }

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
	if err := Verify(path); err != nil {
		return nil, nil, err
	}
	return tarball.Read(path)
}
