package tarball

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"slipway/internal/tree"
)

// converter turns members into entries, and refuses what may not be in a tree.
type converter struct {
	sink   Sink
	limits Limits
	n      int
	kinds  map[string]tree.Type // of every name so far
}

func newConverter(sink Sink, limits Limits) *converter {
	return &converter{sink: sink, limits: limits, kinds: map[string]tree.Type{}}
}

func (c *converter) member(h *tar.Header, content io.Reader) error {
	if c.n++; c.n > c.limits.Entries {
		return fmt.Errorf("%w: more than %d members", ErrLimit, c.limits.Entries)
	}
	e, err := c.convert(h)
	if err == nil {
		err = c.placed(e)
	}
	if err != nil {
		return err
	}
	c.kinds[e.Path] = e.Type
	if e.Type != tree.File || e.Link != "" {
		content = nil
	}
	return c.sink.Add(e, content)
}

// placed refuses a member that does not lie in folders of the archive, or whose
// name is taken: tar would follow or overwrite what is there.
func (c *converter) placed(e tree.Entry) error {
	if kind, twice := c.kinds[e.Path]; twice && (kind != tree.Dir || e.Type != tree.Dir) {
		return fmt.Errorf("%w: %q comes twice", ErrFormat, e.Path)
	}
	for dir := path.Dir(e.Path); dir != "."; dir = path.Dir(dir) {
		if kind, known := c.kinds[dir]; known && kind == tree.Symlink {
			return fmt.Errorf("%w: %q lies behind the symbolic link %q", ErrFormat, e.Path, dir)
		} else if known && kind != tree.Dir {
			return fmt.Errorf("%w: %q lies in %q, which is no folder", ErrFormat, e.Path, dir)
		}
	}
	return nil
}

// finish looks whether there is a root file system at all.
func (c *converter) finish() error {
	for _, dir := range []string{"etc", "usr", "bin", "sbin"} {
		if _, ok := c.kinds[dir]; ok {
			return nil
		}
		for name := range c.kinds {
			if strings.HasPrefix(name, dir+"/") {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: it has none of /etc, /usr, /bin and /sbin at its top; "+
		"an archive that keeps the root in a folder must be packed anew with: tar -C FOLDER -c .", ErrFormat)
}

// convert judges one header.
func (c *converter) convert(h *tar.Header) (e tree.Entry, err error) {
	if e.Path, err = c.path("the name", h.Name); err != nil {
		return e, err
	}
	if h.Uid < 0 || h.Gid < 0 || h.Uid > lastID || h.Gid > lastID {
		return e, fmt.Errorf("%w: %q is owned by %d:%d, and a tree has the ids 0 to %d", ErrFormat, e.Path, h.Uid, h.Gid, lastID)
	}
	e.Mode, e.UID, e.GID, e.MTime = uint32(h.Mode)&0o7777, uint32(h.Uid), uint32(h.Gid), h.ModTime.Unix()
	if e.Xattrs, err = xattrs(e.Path, h); err != nil {
		return e, err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		e.Type, e.Size = tree.File, h.Size
		err = c.file(e.Path, h)
	case tar.TypeLink:
		e.Type = tree.File
		e.Link, err = c.hardLink(e.Path, h.Linkname)
	case tar.TypeSymlink:
		e.Type, e.Target, e.Mode = tree.Symlink, h.Linkname, 0o777
		if h.Linkname == "" || len(h.Linkname) > c.limits.Path || strings.ContainsRune(h.Linkname, 0) {
			err = fmt.Errorf("%w: symbolic link %q to %.60q", ErrFormat, e.Path, h.Linkname)
		}
	case tar.TypeDir:
		e.Type = tree.Dir
	case tar.TypeGNUSparse:
		err = sparse(e.Path)
	case tar.TypeFifo:
		e.Type = tree.Fifo
	case tar.TypeChar, tar.TypeBlock:
		e.Type, err = tree.Char, device(e.Path, h)
		e.Major, e.Minor = uint32(h.Devmajor), uint32(h.Devminor)
	default:
		err = fmt.Errorf("%w: %q is of the unknown type %s", ErrFormat, e.Path, strconv.QuoteRune(rune(h.Typeflag)))
	}
	if err == nil && e.Path == "." && e.Type != tree.Dir {
		err = fmt.Errorf("%w: the root is no folder", ErrFormat)
	}
	return e, err
}

// lastID is the last id of a tree (package intree).
const lastID = 65535

// path makes a name relative to the root and refuses one that could leave it.
func (c *converter) path(what, name string) (string, error) {
	switch {
	case name == "" || len(name) > c.limits.Path:
		return "", fmt.Errorf("%w: %s of a member has %d bytes", ErrFormat, what, len(name))
	case name[0] == '/':
		return "", fmt.Errorf("%w: %s %.80q is absolute; pack the root with: tar -C FOLDER -c .", ErrFormat, what, name)
	case strings.ContainsRune(name, 0):
		return "", fmt.Errorf("%w: %s %.80q has a zero byte", ErrFormat, what, name)
	}
	var kept []string
	for _, p := range strings.Split(name, "/") {
		switch {
		case p == "" || p == ".":
		case p == "..":
			return "", fmt.Errorf("%w: %s %.80q contains .. and could leave the tree", ErrFormat, what, name)
		case len(p) > 255:
			return "", fmt.Errorf("%w: %s %.80q has a part of %d bytes", ErrFormat, what, name, len(p))
		default:
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 {
		return ".", nil
	}
	return strings.Join(kept, "/"), nil
}

// file refuses sparse files: a few bytes of one stand for any number of zeros.
func (c *converter) file(name string, h *tar.Header) error {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return sparse(name)
		}
	}
	if h.Size < 0 || h.Size > c.limits.Total {
		return fmt.Errorf("%w: %q has %d bytes", ErrLimit, name, h.Size)
	}
	return nil
}

func sparse(name string) error {
	return fmt.Errorf("%w: %q is a sparse file; pack it without --sparse", ErrFormat, name)
}

func (c *converter) hardLink(name, target string) (string, error) {
	to, err := c.path("the link "+strconv.Quote(name)+" to", target)
	if err != nil {
		return "", err
	}
	if kind, ok := c.kinds[to]; !ok || kind != tree.File {
		return "", fmt.Errorf("%w: hard link %q to %q, which is no file before it", ErrFormat, name, to)
	}
	return to, nil
}

// device lets pass what a plain /dev has: they are the same in every machine.
// Any other node could reach the hardware of whoever starts the tree.
func device(name string, h *tar.Header) error {
	minors := map[int64][2]int64{4: {0, 255}, 5: {0, 3}}
	span, ok := minors[h.Devmajor]
	if h.Devmajor == 1 {
		ok, span = h.Devminor == 3 || h.Devminor == 5 || h.Devminor >= 7 && h.Devminor <= 9 || h.Devminor == 11, [2]int64{3, 11}
	}
	if h.Typeflag == tar.TypeChar && strings.HasPrefix(name, "dev/") && ok && h.Devminor >= span[0] && h.Devminor <= span[1] {
		return nil
	}
	kind := map[byte]string{tar.TypeChar: "character", tar.TypeBlock: "block"}[h.Typeflag]
	return fmt.Errorf("%w: %q is a node of the %s device %d:%d; only those of a plain /dev (null, zero, full, random, urandom, kmsg, "+
		"tty*, console, ptmx) are taken: pack the root without it", ErrFormat, name, kind, h.Devmajor, h.Devminor)
}

// xattrs are the extended attributes of a member. Those by which the kernel
// lays trees over one another are refused: they would show other files.
func xattrs(name string, h *tar.Header) (map[string]string, error) {
	var out map[string]string
	for key, value := range h.PAXRecords {
		attr, ok := strings.CutPrefix(key, "SCHILY.xattr.")
		if !ok || attr == "security.selinux" || attr == "" {
			continue
		}
		if strings.HasPrefix(attr, "trusted.") || strings.HasPrefix(attr, "user.overlay.") {
			return nil, fmt.Errorf("%w: %q has the extended attribute %.60q, which is the kernel's own", ErrFormat, name, attr)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[attr] = value
	}
	return out, nil
}
