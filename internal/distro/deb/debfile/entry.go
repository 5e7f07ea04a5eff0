package debfile

import (
	"archive/tar"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"slipway/internal/tree"
)

// converter turns tar headers into entries of a pack.
type converter struct {
	sink   Sink
	limits Limits
	n      int
	total  int64 // bytes of the files so far
	owners strings.Builder
	sums   map[string]string // path -> MD5; nil when the package has md5sums
	listed strings.Builder   // the generated md5sums
	files  map[string]bool   // names that a hard link may point to
}

func (c *converter) entry(h *tar.Header, content io.Reader) error {
	e, err := c.convert(h)
	if err != nil {
		return err
	}
	if err := c.owner(h); err != nil {
		return err
	}
	c.n++
	if e.Type != tree.File {
		return c.sink.Add(e, nil)
	}
	if e.Link != "" {
		c.list(e.Path, c.sums[e.Link])
		return c.sink.Add(e, nil)
	}
	return c.addFile(e, content)
}

func (c *converter) addFile(e tree.Entry, content io.Reader) error {
	var h hash.Hash
	if c.sums != nil {
		h = md5.New()
		content = io.TeeReader(content, h)
	}
	if err := c.sink.Add(e, content); err != nil {
		return err
	}
	if h != nil {
		sum := hex.EncodeToString(h.Sum(nil))
		c.sums[e.Path] = sum
		c.list(e.Path, sum)
	}
	return nil
}

// list adds a line to the generated md5sums (deb-md5sums(5)).
func (c *converter) list(path, sum string) {
	if c.sums != nil {
		fmt.Fprintf(&c.listed, "%s  %s\n", sum, path)
	}
}

// owner remembers names that are not root. They are ASCII without separators.
func (c *converter) owner(h *tar.Header) error {
	user, group := h.Uname, h.Gname
	if (user == "" || user == "root") && (group == "" || group == "root") && h.Uid == 0 && h.Gid == 0 {
		return nil
	}
	if strings.ContainsAny(user+group, "\t\n:") {
		return fmt.Errorf("%w: %s is owned by %q:%q", ErrFormat, h.Name, user, group)
	}
	_, err := fmt.Fprintf(&c.owners, "%d\t%s\t%s\n", c.n, user, group)
	return err
}

// finish writes what the package does not carry itself.
func (c *converter) finish() error {
	if c.owners.Len() > 0 {
		if err := c.sink.AddControl(OwnersMember, 0o644, 0, []byte(c.owners.String())); err != nil {
			return err
		}
	}
	if c.listed.Len() > 0 {
		return c.sink.AddControl(SumsMember, 0o644, 0, []byte(c.listed.String()))
	}
	return nil
}

// convert judges one header. Only what dpkg installs is accepted.
func (c *converter) convert(h *tar.Header) (tree.Entry, error) {
	name, err := c.path(h.Name)
	if err != nil {
		return tree.Entry{}, err
	}
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) > 1<<32-2 || int64(h.Gid) > 1<<32-2 {
		return tree.Entry{}, fmt.Errorf("%w: %s is owned by %d:%d", ErrFormat, name, h.Uid, h.Gid)
	}
	e := tree.Entry{
		Path: name, Mode: uint32(h.Mode) & 0o7777,
		UID: uint32(h.Uid), GID: uint32(h.Gid), MTime: h.ModTime.Unix(),
	}
	switch h.Typeflag {
	case tar.TypeReg:
		e.Type, e.Size = tree.File, h.Size
		if err := c.count(h); err != nil {
			return e, err
		}
	case tar.TypeLink:
		e.Type = tree.File
		if e.Link, err = c.path(h.Linkname); err != nil {
			return e, fmt.Errorf("hard link %s: %w", name, err)
		}
		if !c.files[e.Link] {
			return e, fmt.Errorf("%w: hard link %s to %s, which is no file before it", ErrFormat, name, e.Link)
		}
	case tar.TypeSymlink:
		e.Type, e.Target = tree.Symlink, h.Linkname
		if h.Linkname == "" || len(h.Linkname) > c.limits.Path || strings.ContainsRune(h.Linkname, 0) {
			return e, fmt.Errorf("%w: symbolic link %s to %.60q", ErrFormat, name, h.Linkname)
		}
	case tar.TypeDir:
		e.Type = tree.Dir
	case tar.TypeFifo:
		e.Type = tree.Fifo
	case tar.TypeChar, tar.TypeBlock:
		e.Type = tree.Char
		if h.Typeflag == tar.TypeBlock {
			e.Type = tree.Block
		}
		e.Major, e.Minor = uint32(h.Devmajor), uint32(h.Devminor)
	default:
		return e, fmt.Errorf("%w: %s is of type %s", ErrFormat, name, strconv.QuoteRune(rune(h.Typeflag)))
	}
	if name == "." && e.Type != tree.Dir {
		return e, fmt.Errorf("%w: the root is no directory", ErrFormat)
	}
	if e.Type == tree.File {
		if c.files == nil {
			c.files = map[string]bool{}
		}
		c.files[name] = true
	}
	return e, nil
}

// count bounds what the files become. A sparse one, which dpkg does not know
// either, is refused: a few bytes of it may stand for any number of zeros.
func (c *converter) count(h *tar.Header) error {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return fmt.Errorf("%w: %s is a sparse file", ErrFormat, h.Name)
		}
	}
	if c.total += h.Size; h.Size > c.limits.Total || c.total > c.limits.Total {
		return fmt.Errorf("%w: its files have more than %d bytes", ErrLimit, c.limits.Total)
	}
	return nil
}

// path makes a name relative to the root ("." is the root itself) and refuses
// those that could leave it or break dpkg's line-based lists.
func (c *converter) path(name string) (string, error) {
	if name == "" || len(name) > c.limits.Path {
		return "", fmt.Errorf("%w: a name of %d bytes", ErrFormat, len(name))
	}
	if name[0] == '/' || strings.ContainsAny(name, "\n\x00") {
		return "", fmt.Errorf("%w: name %.80q", ErrFormat, name)
	}
	parts := strings.Split(name, "/")
	kept := parts[:0]
	for _, p := range parts {
		switch p {
		case "", ".":
		case "..":
			return "", fmt.Errorf("%w: name %.80q leaves the root", ErrFormat, name)
		default:
			if len(p) > 255 {
				return "", fmt.Errorf("%w: a name of %d bytes in %.80q", ErrFormat, len(p), name)
			}
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 {
		return ".", nil
	}
	return strings.Join(kept, "/"), nil
}
