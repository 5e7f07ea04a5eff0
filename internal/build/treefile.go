package build

import (
	"context"
	"fmt"
	"io"
	"strings"

	"slipway/internal/boot"
	"slipway/internal/image"
	"slipway/internal/tree"
)

// treeFile is the content of a file of a built machine, but for some bytes at
// its start, to be written outside its file systems.
func (b *Builder) treeFile(r *Result, path string, skip int64) (image.Volume, error) {
	layer, err := b.Store.Layer(r.Key)
	if err != nil {
		return nil, err
	}
	m, err := layer.Manifest()
	if err != nil {
		return nil, err
	}
	e := boot.NewFS(m, nil).Resolve(strings.TrimPrefix(path, "/"))
	switch {
	case e == nil:
		return nil, fmt.Errorf("the machine has no file %s: name the package that brings it in packages", path)
	case e.Type != tree.File:
		return nil, fmt.Errorf("%s of the machine is no regular file", path)
	case skip > e.Size:
		return nil, fmt.Errorf("%s of the machine has %d bytes, and %d are to be skipped", path, e.Size, skip)
	}
	return &treeContent{layer.Content(), e, skip}, nil
}

// treeContent is a file of a tree as raw content.
type treeContent struct {
	content tree.Content
	entry   *tree.Entry
	skip    int64
}

var _ image.Volume = (*treeContent)(nil)

// Size implements image.Volume.
func (t *treeContent) Size() int64 { return t.entry.Size - t.skip }

// Write implements image.Volume.
func (t *treeContent) Write(_ context.Context, w io.Writer) error {
	r, err := t.content.Open(t.entry.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, t.skip); err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}
