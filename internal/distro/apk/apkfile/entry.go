package apkfile

import (
	"archive/tar"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"slipway/internal/tree"
)

// checksumRecord is the pax record with a file's SHA-1.
const checksumRecord = "APK-TOOLS.checksum.SHA1"

// converter turns tar headers into entries of a pack.
type converter struct {
	sink    Sink
	limits  Limits
	n       int
	total   int64
	owners  strings.Builder
	sums    strings.Builder
	files   map[string]int // names of files that a hard link may point to, and their entry
	hashes  map[int]string // SHA-1 of those that have one
	folders map[string]bool
}

func (c *converter) entry(h *tar.Header, content io.Reader) error {
	if strings.HasPrefix(h.Name, ".") && !strings.HasPrefix(h.Name, "./") && !strings.HasPrefix(h.Name, "../") {
		return nil // apk's own, not the machine's
	}
	e, err := c.convert(h)
	if err != nil {
		return err
	}
	if e.Type == tree.Dir {
		if e.Path == "." {
			return nil
		}
		c.folders[e.Path] = true
	} else {
		if i := strings.LastIndexByte(e.Path, '/'); i >= 0 && !c.folders[e.Path[:i]] {
			return fmt.Errorf("%w: %s comes without its folder", ErrFormat, e.Path)
		}
		if strings.HasPrefix(e.Path[strings.LastIndexByte(e.Path, '/')+1:], ".keep_") {
			return nil // only kept the folder in the archive
		}
	}
	if err := c.owner(h); err != nil {
		return err
	}
	return c.add(e, h, content)
}

// add writes an entry and compares its content with the archive's own sum.
func (c *converter) add(e tree.Entry, h *tar.Header, content io.Reader) error {
	want := h.PAXRecords[checksumRecord]
	if want != "" {
		if sum, err := hex.DecodeString(want); err != nil || len(sum) != sha1.Size {
			return fmt.Errorf("%w: %s has the checksum %.60q", ErrFormat, e.Path, want)
		}
	}
	got := ""
	switch {
	case e.Type == tree.File && e.Link != "":
		want, got = c.hashes[c.files[e.Link]], ""
		if err := c.sink.Add(e, nil); err != nil {
			return err
		}
	case e.Type == tree.File:
		sum := sha1.New()
		if err := c.sink.Add(e, io.TeeReader(content, sum)); err != nil {
			return err
		}
		got = hex.EncodeToString(sum.Sum(nil))
	case e.Type == tree.Symlink:
		sum := sha1.Sum([]byte(e.Target))
		got = hex.EncodeToString(sum[:])
		fallthrough
	default:
		if err := c.sink.Add(e, nil); err != nil {
			return err
		}
	}
	if got != "" && want != "" && got != want {
		return fmt.Errorf("%w: %s has SHA-1 %s, the archive says %s", ErrMismatch, e.Path, got, want)
	}
	if want == "" && (e.Type == tree.File || e.Type == tree.Symlink) {
		want = got // made by an old tool; the content is what the datahash vouches for
	}
	if want != "" {
		fmt.Fprintf(&c.sums, "%d\t%s\n", c.n, want)
	}
	if e.Type == tree.File {
		c.files[e.Path] = c.n
		if c.hashes == nil {
			c.hashes = map[int]string{}
		}
		c.hashes[c.n] = want
	}
	c.n++
	return nil
}

// owner remembers names that are not root: they are looked up in the tree.
func (c *converter) owner(h *tar.Header) error {
	user, group := h.Uname, h.Gname
	if (user == "" || user == "root") && (group == "" || group == "root") && h.Uid == 0 && h.Gid == 0 {
		return nil
	}
	if strings.ContainsAny(user+group, "\t\n:") {
		return fmt.Errorf("%w: %s is owned by %.40q:%.40q", ErrFormat, h.Name, user, group)
	}
	fmt.Fprintf(&c.owners, "%d\t%s\t%s\n", c.n, user, group)
	return nil
}

func (c *converter) finish() {
	if c.owners.Len() > 0 {
		c.sink.AddControl(OwnersMember, 0o644, 0, []byte(c.owners.String()))
	}
	if c.sums.Len() > 0 {
		c.sink.AddControl(SumsMember, 0o644, 0, []byte(c.sums.String()))
	}
}

// convert judges one header. Only what apk installs is accepted.
func (c *converter) convert(h *tar.Header) (tree.Entry, error) {
	name, err := c.path(h.Name)
	if err != nil {
		return tree.Entry{}, err
	}
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) > 1<<32-2 || int64(h.Gid) > 1<<32-2 {
		return tree.Entry{}, fmt.Errorf("%w: %s is owned by %d:%d", ErrFormat, name, h.Uid, h.Gid)
	}
	e := tree.Entry{
		Path: name, Mode: uint32(h.Mode) & 0o7777, UID: uint32(h.Uid), GID: uint32(h.Gid), MTime: h.ModTime.Unix(), Xattrs: xattrs(h),
	}
	switch h.Typeflag {
	case tar.TypeReg:
		e.Type, e.Size = tree.File, h.Size
		err = c.count(h)
	case tar.TypeLink:
		e.Type = tree.File
		if e.Link, err = c.path(h.Linkname); err == nil {
			if _, ok := c.files[e.Link]; !ok {
				err = fmt.Errorf("%w: hard link %s to %s, which is no file before it", ErrFormat, name, e.Link)
			}
		}
	case tar.TypeSymlink:
		e.Type, e.Target, e.Mode = tree.Symlink, h.Linkname, 0o777
		if h.Linkname == "" || len(h.Linkname) > c.limits.Path || strings.ContainsRune(h.Linkname, 0) {
			err = fmt.Errorf("%w: symbolic link %s to %.60q", ErrFormat, name, h.Linkname)
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
		err = fmt.Errorf("%w: %s is of type %s", ErrFormat, name, strconv.QuoteRune(rune(h.Typeflag)))
	}
	if err == nil && name == "." && e.Type != tree.Dir {
		err = fmt.Errorf("%w: the root is no directory", ErrFormat)
	}
	return e, err
}

// xattrs are the extended attributes of an entry.
func xattrs(h *tar.Header) map[string]string {
	var out map[string]string
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok && name != "" {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = value
		}
	}
	return out
}

// count bounds what the files become; a sparse one is refused: a few bytes of
// it may stand for any number of zeros.
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

// path makes a name relative to the root and refuses those that could leave it
// or break the lines of apk's database.
func (c *converter) path(name string) (string, error) {
	if name == "" || len(name) > c.limits.Path || name[0] == '/' {
		return "", fmt.Errorf("%w: name %.80q", ErrFormat, name)
	}
	for i := range len(name) {
		if name[i] < 0x20 || name[i] == 0x7f {
			return "", fmt.Errorf("%w: name %.80q", ErrFormat, name)
		}
	}
	var kept []string
	for _, p := range strings.Split(name, "/") {
		switch {
		case p == "" || p == ".":
		case p == "..":
			return "", fmt.Errorf("%w: name %.80q leaves the root", ErrFormat, name)
		case len(p) > 255:
			return "", fmt.Errorf("%w: a name of %d bytes in %.80q", ErrFormat, len(p), name)
		default:
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 {
		return ".", nil
	}
	return strings.Join(kept, "/"), nil
}
