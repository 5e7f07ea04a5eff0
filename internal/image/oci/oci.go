// Package oci writes a tree as an OCI image of one layer: a tar archive of an
// image layout (OCI Image Format Specification 1.1, image-layout.md), which
// skopeo, podman and others take as oci-archive:FILE and docker load reads.
//
// The layer is what package tarball writes. Everything is deterministic. It is
// no registry client and makes no images of several layers or machines.
package oci

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"slipway/internal/image"
	"slipway/internal/image/compress"
	"slipway/internal/tree"
)

// Writer writes an image. The zero value makes one of amd64 that starts
// /sbin/init.
type Writer struct {
	Compression compress.Format // of the layer: Gzip, Zstd, or None; XZ is not in the specification
	Config      Config
}

var _ image.Writer = Writer{}

// Write implements image.Writer. The layer passes through a temporary file,
// because its size and digest come first.
func (o Writer) Write(ctx context.Context, w io.Writer, m *tree.Manifest, c tree.Content, opt image.Options) error {
	if err := o.write(ctx, w, m, c, opt); err != nil {
		return fmt.Errorf("writing an OCI image: %w", err)
	}
	return nil
}

func (o Writer) write(ctx context.Context, w io.Writer, m *tree.Manifest, c tree.Content, opt image.Options) error {
	layer, err := o.layer(ctx, m, c, opt)
	if err != nil {
		return err
	}
	defer layer.Close()
	config, err := o.Config.document(layer.diffID, opt.Epoch)
	if err != nil {
		return err
	}
	manifest, err := encode(o.manifest(layer, config))
	if err != nil {
		return err
	}
	index, err := encode(o.index(manifest))
	if err != nil {
		return err
	}
	a := archive{tar.NewWriter(w), time.Unix(opt.Epoch, 0)}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"index.json", index},
		{blobName(sha256.Sum256(manifest)), manifest},
		{blobName(sha256.Sum256(config)), config},
	} {
		if err := a.add(f.name, f.data); err != nil {
			return err
		}
	}
	if err := a.layer(ctx, layer); err != nil {
		return err
	}
	return a.tar.Close()
}

// encode is JSON of one form.
func encode(v any) ([]byte, error) { return json.Marshal(v) }

// archive is the outer archive.
type archive struct {
	tar  *tar.Writer
	time time.Time
}

func (a archive) header(name string, size int64) error {
	return a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Format: tar.FormatPAX, Name: name, Size: size, Mode: 0o644, ModTime: a.time})
}

func (a archive) add(name string, data []byte) error {
	if err := a.header(name, int64(len(data))); err != nil {
		return err
	}
	_, err := a.tar.Write(data)
	return err
}

func (a archive) layer(ctx context.Context, l *layer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := a.header(blobName(l.digest), l.size); err != nil {
		return err
	}
	_, err := io.Copy(a.tar, io.NewSectionReader(l.f, 0, l.size))
	return err
}

func blobName(d tree.Digest) string { return "blobs/sha256/" + d.String() }
