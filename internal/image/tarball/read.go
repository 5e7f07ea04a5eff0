package tarball

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"slipway/internal/tree"
)

// Read reads an archive, plain or compressed, into a manifest, and gives its
// contents. It hashes everything once. Later members replace earlier ones of
// the same name, as they do when an archive is extracted; names that lead out
// of the tree and sparse members are errors. It does not check the sidecar: see image.Verify.
//
// Opening a content reads the file again up to it, so that comparing two
// archives needs no space; copy them out in archive order only.
func Read(path string) (*tree.Manifest, tree.Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading an archive: %w", err)
	}
	defer f.Close()
	z, err := Decompress(f)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", path, err)
	}
	defer z.Close()
	r := &reader{in: &counter{r: z}, at: make(map[string]int), offsets: make(map[tree.Digest]span)}
	m, err := r.read()
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return m, content{path, r.offsets}, nil
}

// span is where a content lies in the uncompressed archive.
type span struct{ off, size int64 }

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

type reader struct {
	in      *counter
	m       tree.Manifest
	at      map[string]int // newest member of a name
	offsets map[tree.Digest]span
}

func (r *reader) read() (*tree.Manifest, error) {
	tr := tar.NewReader(r.in)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = r.member(h, tr)
		}
		if err != nil {
			return nil, fmt.Errorf("before offset %d: %w", r.in.n, err)
		}
	}
	if _, err := io.Copy(io.Discard, r.in); err != nil { // to the checksum at the end
		return nil, err
	}
	return r.finish()
}

func (r *reader) member(h *tar.Header, body io.Reader) error {
	e, err := entry(h)
	if err != nil {
		return err
	}
	if e.Type == tree.File && h.Typeflag != tar.TypeLink {
		off, sum := r.in.n, sha256.New()
		if e.Size, err = io.Copy(sum, body); err != nil {
			return fmt.Errorf("%q: %w", h.Name, err)
		}
		sum.Sum(e.Digest[:0])
		if _, seen := r.offsets[e.Digest]; !seen {
			r.offsets[e.Digest] = span{off, e.Size}
		}
	}
	if err := e.Validate(); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeLink {
		if e, err = r.linked(e, h.Linkname); err != nil {
			return err
		}
	}
	if len(r.m.Entries) >= tree.MaxEntries {
		return fmt.Errorf("more than %d members", tree.MaxEntries)
	}
	if i, again := r.at[e.Path]; again {
		r.m.Entries[i].Path = "" // replaced
	}
	r.at[e.Path] = len(r.m.Entries)
	r.m.Entries = append(r.m.Entries, e)
	return nil
}

// linked makes a hard link a copy of its target. Until finish, Link holds the
// number of the group instead of a path, in both.
func (r *reader) linked(e tree.Entry, target string) (tree.Entry, error) {
	i, ok := r.at[cleanName(target)]
	if !ok || r.m.Entries[i].Type == tree.Dir {
		return e, fmt.Errorf("%q: hard link to %q, which did not come before", e.Path, target)
	}
	first := &r.m.Entries[i]
	if first.Link == "" {
		first.Link = fmt.Sprint(i)
	}
	path := e.Path
	e = *first
	e.Path = path
	return e, nil
}

// finish sorts, drops replaced members and names hard-link groups by their
// first path.
func (r *reader) finish() (*tree.Manifest, error) {
	m := &tree.Manifest{Entries: make([]tree.Entry, 0, len(r.at))}
	for _, e := range r.m.Entries {
		if e.Path != "" {
			m.Entries = append(m.Entries, e)
		}
	}
	m.Sort()
	first := make(map[string]string)
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Link == "" {
			continue
		}
		if p, ok := first[e.Link]; ok {
			e.Link = p
		} else {
			first[e.Link], e.Link = e.Path, ""
		}
	}
	return m, m.Validate()
}

func cleanName(name string) string {
	name = strings.TrimSuffix(name, "/")
	for strings.HasPrefix(name, "./") {
		name = strings.TrimLeft(name[2:], "/")
	}
	if name == "" {
		return "."
	}
	return name
}

var types = map[byte]tree.Type{tar.TypeReg: tree.File, tar.TypeDir: tree.Dir, tar.TypeSymlink: tree.Symlink,
	tar.TypeChar: tree.Char, tar.TypeBlock: tree.Block, tar.TypeFifo: tree.Fifo, tar.TypeLink: tree.File,
	tar.TypeCont: tree.File}

// sparse members are refused: a few bytes of them stand for any amount of
// zeros, and no archive of ours has them.
func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

func entry(h *tar.Header) (e tree.Entry, err error) {
	e = tree.Entry{Path: cleanName(h.Name), Mode: uint32(h.Mode & 0o7777), MTime: h.ModTime.Unix(), MNsec: uint32(h.ModTime.Nanosecond())}
	if sparse(h) {
		return e, fmt.Errorf("%q: a sparse member, which is not supported; write the archive without --sparse", h.Name)
	}
	var ok bool
	if e.Type, ok = types[h.Typeflag]; !ok {
		return e, fmt.Errorf("%q: unknown member type %q", h.Name, h.Typeflag)
	}
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) >= 1<<32 || int64(h.Gid) >= 1<<32 {
		return e, fmt.Errorf("%q: owner %d:%d is out of range", h.Name, h.Uid, h.Gid)
	}
	e.UID, e.GID = uint32(h.Uid), uint32(h.Gid)
	switch e.Type {
	case tree.Symlink:
		e.Target = h.Linkname
	case tree.Char, tree.Block:
		if h.Devmajor < 0 || h.Devminor < 0 || h.Devmajor >= 1<<32 || h.Devminor >= 1<<32 {
			return e, fmt.Errorf("%q: device number %d:%d is out of range", h.Name, h.Devmajor, h.Devminor)
		}
		e.Major, e.Minor = uint32(h.Devmajor), uint32(h.Devminor)
	}
	for k, v := range h.PAXRecords {
		if name, ok := strings.CutPrefix(k, xattrPrefix); ok {
			if e.Xattrs == nil {
				e.Xattrs = make(map[string]string)
			}
			e.Xattrs[name] = v
		}
	}
	return e, nil
}

// content reads contents out of the archive again.
type content struct {
	path    string
	offsets map[tree.Digest]span
}

type section struct {
	io.Reader
	z io.Closer
	f *os.File
}

func (s section) Close() error { return errors.Join(s.z.Close(), s.f.Close()) }

// Open implements tree.Content. The bytes were hashed by Read.
func (c content) Open(d tree.Digest) (io.ReadCloser, error) {
	at, ok := c.offsets[d]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d, tree.ErrNoContent)
	}
	f, err := os.Open(c.path)
	if err != nil {
		return nil, err
	}
	z, err := Decompress(f)
	if err == nil {
		_, err = io.CopyN(io.Discard, z, at.off)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("reading %s: %w", c.path, err)
	}
	return section{io.LimitReader(z, at.size), z, f}, nil
}
