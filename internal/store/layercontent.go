package store

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"

	"slipway/internal/tree"
)

// contentIndex finds contents in the packs of a layer and of those below.
type contentIndex struct {
	packs []*Pack
	at    map[tree.Digest]packed
}

type packed struct {
	pack *Pack
	i    int
}

func (x *contentIndex) add(p *Pack) {
	x.packs = append(x.packs, p)
	for i, e := range p.entries {
		if _, seen := x.at[e.Digest]; e.Type == tree.File && !seen {
			x.at[e.Digest] = packed{p, i}
		}
	}
}

func (x *contentIndex) addPacks(s *Store, digests []string) error {
	for _, d := range digests {
		p, err := s.OpenPack(d)
		if err != nil {
			return err
		}
		x.add(p)
	}
	return nil
}

func (x *contentIndex) close() {
	for _, p := range x.packs {
		p.Close()
	}
}

// readIndex opens the layer's own packs. Those of the layers below are theirs.
func (l *Layer) readIndex() (*contentIndex, error) {
	x := &contentIndex{at: make(map[tree.Digest]packed)}
	p, err := openPack(l.s.layerPath(l.meta.Key, "pack"))
	if err == nil {
		x.add(p)
		err = x.addPacks(l.s, l.meta.Packs)
	}
	if err != nil {
		x.close()
		return nil, fmt.Errorf("opening the contents of layer %s: %w", l.meta.Key, err)
	}
	l.opened.Store(x)
	return x, nil
}

// LayerContent is the contents of a layer's tree.
type LayerContent struct{ layer *Layer }

var (
	_ tree.Content    = LayerContent{}
	_ tree.FileCopier = LayerContent{}
)

// Content gives the contents of all files in the layer's manifest, verified:
// a damaged one is a *CorruptError, at the latest when it was read to its end.
// A missing pack is an error that wraps ErrNotFound.
func (l *Layer) Content() LayerContent { return LayerContent{l} }

func (c LayerContent) find(d tree.Digest) (packed, error) {
	for l := c.layer; l != nil; l = l.parent {
		x, err := l.index()
		if err != nil {
			return packed{}, err
		}
		if p, ok := x.at[d]; ok {
			return p, nil
		}
	}
	return packed{}, fmt.Errorf("%s: %w", d, tree.ErrNoContent)
}

// Open implements tree.Content.
func (c LayerContent) Open(d tree.Digest) (io.ReadCloser, error) {
	if d == tree.Empty {
		return io.NopCloser(io.LimitReader(nil, 0)), nil
	}
	at, err := c.find(d)
	if err != nil {
		return nil, err
	}
	r := at.pack.Open(at.i)
	if at.pack.verified[at.i].Load() {
		return io.NopCloser(r), nil
	}
	return io.NopCloser(&verifyReader{r: r, h: sha256.New(), at: at}), nil
}

// CopyTo implements tree.FileCopier.
func (c LayerContent) CopyTo(d tree.Digest, f *os.File) error {
	if d == tree.Empty {
		return nil
	}
	at, err := c.find(d)
	if err != nil {
		return err
	}
	return at.pack.WriteTo(at.i, f)
}

// verifyReader gives a wrong digest instead of the end of the file.
type verifyReader struct {
	r  io.Reader
	h  hash.Hash
	at packed
}

func (v *verifyReader) Read(b []byte) (int, error) {
	n, err := v.r.Read(b)
	v.h.Write(b[:n])
	if err == io.EOF {
		e := &v.at.pack.entries[v.at.i]
		if got := tree.Digest(v.h.Sum(nil)); got != e.Digest {
			return n, &CorruptError{Path: v.at.pack.f.Name(), What: fmt.Sprintf("%q has digest %s, want %s", e.Path, got, e.Digest)}
		}
		v.at.pack.verified[v.at.i].Store(true)
	}
	return n, err
}
