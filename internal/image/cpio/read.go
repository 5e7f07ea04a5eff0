package cpio

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"slipway/internal/image/compress"
	"slipway/internal/tree"
)

// Read reads an archive, plain or compressed, into a manifest, and gives its
// contents. It hashes everything once. Several archives in a row are read as
// the kernel does: later members replace earlier ones of the same name. An
// archive in another compression behind a plain one is an error.
//
// Opening a content reads the file again up to it, so that comparing two
// archives needs no space; copy them out in archive order only.
func Read(path string) (*tree.Manifest, tree.Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading a cpio archive: %w", err)
	}
	defer f.Close()
	z, err := compress.Reader(f)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", path, err)
	}
	defer z.Close()
	r := newReader(z)
	m, err := r.read()
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: at offset %d: %w", path, r.n, err)
	}
	return m, content{path, r.spans}, nil
}

// span is where a content lies in the uncompressed archive.
type span struct{ off, size int64 }

// member is an entry with the group that it may belong to.
type member struct {
	tree.Entry
	group *links
}

// links is a hard-link group while reading: which member has the content is
// known at the end only.
type links struct {
	size   int64
	digest tree.Digest
	first  string
}

type reader struct {
	in      *bufio.Reader
	n       int64
	members []member
	at      map[string]int       // newest member of a name
	groups  map[[4]uint32]*links // by type, device, inode; of the current archive
	spans   map[tree.Digest]span
}

func newReader(r io.Reader) *reader {
	return &reader{in: bufio.NewReaderSize(r, 256<<10), at: make(map[string]int),
		groups: make(map[[4]uint32]*links), spans: map[tree.Digest]span{}}
}

func (r *reader) take(n int) ([]byte, error) {
	b := make([]byte, n)
	got, err := io.ReadFull(r.in, b)
	r.n += int64(got)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

func (r *reader) skip(n int64) error {
	got, err := io.CopyN(io.Discard, r.in, n)
	r.n += got
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (r *reader) read() (*tree.Manifest, error) {
	archives := 0
	for {
		more, err := r.gap()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		if err := r.archive(); err != nil {
			return nil, err
		}
		archives++
	}
	if archives == 0 {
		return nil, errors.New("no archive in it")
	}
	return r.finish()
}

// gap skips the zeros between archives.
func (r *reader) gap() (more bool, err error) {
	for {
		b, err := r.in.ReadByte()
		switch {
		case err == io.EOF:
			return false, nil
		case err != nil:
			return false, err
		case b != 0:
			return true, r.in.UnreadByte()
		}
		r.n++
	}
}

func (r *reader) archive() error {
	clear(r.groups)
	for {
		last, err := r.next()
		if err != nil || last {
			return err
		}
	}
}

// The numbers of a header, in their order.
const (
	ino = iota
	mode
	uid
	gid
	nlink
	mtime
	size
	devMajor
	devMinor
	rdevMajor
	rdevMinor
	nameSize
	_
	numbers
)

func (r *reader) numbers() (h [numbers]uint32, err error) {
	b, err := r.take(headerSize)
	if err != nil {
		return h, err
	}
	if string(b[:6]) != magic {
		return h, fmt.Errorf("got magic %q, want %q", b[:6], magic)
	}
	for i := range h {
		n, err := strconv.ParseUint(string(b[6+8*i:14+8*i]), 16, 32)
		if err != nil {
			return h, fmt.Errorf("number %d of a header: %w", i, err)
		}
		h[i] = uint32(n)
	}
	return h, nil
}

func (r *reader) next() (last bool, err error) {
	h, err := r.numbers()
	if err != nil {
		return false, err
	}
	if h[nameSize] < 1 || h[nameSize] > tree.MaxPath {
		return false, fmt.Errorf("a name of %d bytes", h[nameSize])
	}
	name, err := r.take(int(h[nameSize]))
	if err != nil {
		return false, err
	}
	if err := r.skip(pad(headerSize + int64(len(name)))); err != nil {
		return false, err
	}
	name, _, _ = bytes.Cut(name, []byte{0})
	if string(name) == trailer {
		return true, r.skip(int64(h[size]))
	}
	m, err := r.member(h, clean(string(name)))
	if err != nil {
		return false, err
	}
	return false, r.keep(m)
}

func clean(name string) string {
	for strings.HasPrefix(name, "./") {
		name = strings.TrimLeft(name[2:], "/")
	}
	if name == "" {
		return "."
	}
	return name
}

func (r *reader) member(h [numbers]uint32, name string) (m member, err error) {
	m.Entry = tree.Entry{Path: name, Mode: h[mode] & 0o7777, UID: h[uid], GID: h[gid], MTime: int64(h[mtime])}
	for t, bits := range typeBits {
		if h[mode]&0o170000 == bits {
			m.Type = t
		}
	}
	switch m.Type {
	case 0:
		return m, fmt.Errorf("%q: mode %#o is of no known type", name, h[mode])
	case tree.File:
		err = r.file(&m.Entry, int64(h[size]))
	case tree.Symlink:
		if h[size] > tree.MaxPath {
			return m, fmt.Errorf("%q: a target of %d bytes", name, h[size])
		}
		var b []byte
		b, err = r.take(int(h[size]))
		m.Target = string(b)
	default:
		err = r.skip(int64(h[size]))
		if m.Type == tree.Char || m.Type == tree.Block {
			m.Major, m.Minor = h[rdevMajor], h[rdevMinor]
		}
	}
	if err == nil {
		err = r.skip(pad(int64(h[size])))
	}
	if err != nil {
		return m, err
	}
	if h[nlink] > 1 && m.Type != tree.Dir && m.Type != tree.Symlink {
		key := [4]uint32{h[mode] & 0o170000, h[devMajor], h[devMinor], h[ino]}
		if m.group = r.groups[key]; m.group == nil {
			m.group = &links{digest: m.Digest}
			r.groups[key] = m.group
		}
		if m.Size > 0 {
			m.group.size, m.group.digest = m.Size, m.Digest
		}
	}
	return m, m.Validate()
}

func (r *reader) file(e *tree.Entry, size int64) error {
	start, sum := r.n, sha256.New()
	n, err := io.CopyN(sum, r.in, size)
	r.n += n
	if err != nil {
		return fmt.Errorf("%q: content: %w", e.Path, io.ErrUnexpectedEOF)
	}
	e.Size = size
	sum.Sum(e.Digest[:0])
	if _, seen := r.spans[e.Digest]; !seen {
		r.spans[e.Digest] = span{start, size}
	}
	return nil
}

func (r *reader) keep(m member) error {
	if len(r.members) >= tree.MaxEntries {
		return fmt.Errorf("more than %d members", tree.MaxEntries)
	}
	if i, again := r.at[m.Path]; again {
		r.members[i].Path = "" // replaced
	}
	r.at[m.Path] = len(r.members)
	r.members = append(r.members, m)
	return nil
}

// finish sorts, drops replaced members and completes the hard links: all
// names get the attributes of the first.
func (r *reader) finish() (*tree.Manifest, error) {
	m := &tree.Manifest{Entries: make([]tree.Entry, 0, len(r.at))}
	group := make(map[string]*links)
	for _, e := range r.members {
		if e.Path == "" {
			continue
		}
		if e.group != nil {
			group[e.Path] = e.group
		}
		m.Entries = append(m.Entries, e.Entry)
	}
	m.Sort()
	for i := range m.Entries {
		e := &m.Entries[i]
		g := group[e.Path]
		switch {
		case g == nil:
		case g.first == "":
			g.first = e.Path
			e.Size, e.Digest = g.size, g.digest
		default:
			path := e.Path
			*e = *m.Lookup(g.first)
			e.Path, e.Link = path, g.first
		}
	}
	return m, m.Validate()
}
