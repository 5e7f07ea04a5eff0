package oci

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"slipway/internal/image"
	"slipway/internal/image/compress"
	"slipway/internal/image/tarball"
	"slipway/internal/tree"
)

// layer is a finished layer in a temporary file without a name.
type layer struct {
	f      *os.File
	size   int64
	digest tree.Digest // of the file
	diffID tree.Digest // of the archive in it
}

func (l *layer) Close() error { return l.f.Close() }

var layerTypes = map[compress.Format]string{
	compress.None: "application/vnd.oci.image.layer.v1.tar",
	compress.Gzip: "application/vnd.oci.image.layer.v1.tar+gzip",
	compress.Zstd: "application/vnd.oci.image.layer.v1.tar+zstd",
}

func (o Writer) layer(ctx context.Context, m *tree.Manifest, c tree.Content, opt image.Options) (l *layer, err error) {
	if layerTypes[o.Compression] == "" {
		return nil, fmt.Errorf("a layer cannot be compressed as %q", o.Compression)
	}
	f, err := os.CreateTemp("", "slipway-oci-")
	if err == nil {
		err = os.Remove(f.Name())
	}
	if err != nil {
		return nil, fmt.Errorf("making a temporary file (TMPDIR names another folder for it): %w", err)
	}
	l = &layer{f: f}
	if err := l.fill(ctx, o.Compression, m, c, opt); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func (l *layer) fill(ctx context.Context, format compress.Format, m *tree.Manifest, c tree.Content, opt image.Options) error {
	outer, inner := sha256.New(), sha256.New()
	count := &image.Counter{W: io.MultiWriter(l.f, outer)}
	buf := bufio.NewWriterSize(count, 1<<20)
	z, err := format.Writer(buf)
	if err != nil {
		return err
	}
	err = tarball.Writer{}.Write(ctx, io.MultiWriter(inner, z), m, c, opt)
	if cerr := z.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = buf.Flush()
	}
	if err != nil {
		return err
	}
	l.size = count.N
	outer.Sum(l.digest[:0])
	inner.Sum(l.diffID[:0])
	return nil
}
