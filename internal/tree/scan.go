package tree

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// ScanOptions for Scan. The zero value works.
type ScanOptions struct {
	// Known gives the digest of a file that need not be read, because its
	// stat data tells what it is. It is called from several goroutines.
	Known func(path string, st *unix.Stat_t) (Digest, bool)
	// Skip leaves a path, and what lies below it, out.
	Skip func(path string) bool
	// Upper and Below, if set, say that root is an overlay mount: Upper is
	// its writable folder, Below the manifest of what lies under that. What
	// is not in Upper is taken from Below and not looked at, but for device
	// nodes, which a manifest may list without their being there.
	Upper string
	Below *Manifest
	// Parallel is the number of goroutines that read; 0: one per CPU.
	Parallel int
}

// Scan reads a folder into a sorted manifest: the root as ".", ids as this
// process sees them, device nodes, sockets, hard-link groups (those members
// that lie in the folder) and extended attributes. File capabilities are given
// in version 2. Overlay's own attributes and whiteouts are left out, so that
// the raw upper folder of an overlay can be scanned too. It does not cross
// into other filesystems mounted below root; their mount points are folders.
//
// Nobody may change the folder meanwhile; a file that changes its length is
// noticed and an error.
func Scan(ctx context.Context, root string, opt ScanOptions) (*Manifest, error) {
	s := &scanner{root: root, opt: opt}
	if err := s.walk(ctx); err != nil {
		return nil, fmt.Errorf("scanning %s: %w", root, err)
	}
	if err := s.read(ctx); err != nil {
		return nil, fmt.Errorf("scanning %s: %w", root, err)
	}
	return s.manifest(), nil
}

type scanner struct {
	root  string
	opt   ScanOptions
	found []scanned
}

type scanned struct {
	Entry
	st   unix.Stat_t
	drop bool // a whiteout
	from bool // taken from the manifest below
}

// walk collects names and stat data, folders in the order of discovery.
func (s *scanner) walk(ctx context.Context) error {
	if err := s.stat("."); err != nil {
		return err
	}
	if s.found[0].Type != Dir {
		return unix.ENOTDIR
	}
	for i := 0; i < len(s.found); i++ {
		if s.found[i].Type != Dir || s.found[i].from || s.found[i].st.Dev != s.found[0].st.Dev {
			continue // overlays give folders one device number, mounts their own
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.list(s.found[i].Path); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) list(dir string) error {
	f, err := os.OpenFile(s.path(dir), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		p := n
		if dir != "." {
			p = dir + "/" + n
		}
		if s.opt.Skip != nil && s.opt.Skip(p) {
			continue
		}
		if s.inherit(p) {
			continue
		}
		if err := s.stat(p); err != nil {
			return err
		}
	}
	return nil
}

// inherit takes a path and all in it from the manifest below, if the overlay
// has it from there.
func (s *scanner) inherit(path string) bool {
	if s.opt.Below == nil {
		return false
	}
	var st unix.Stat_t
	if err := unix.Lstat(s.opt.Upper+"/"+path, &st); err != unix.ENOENT {
		return false
	}
	top := s.opt.Below.Lookup(path)
	if top == nil {
		return false
	}
	s.take(top)
	es := s.opt.Below.Entries
	inside := path + "/"
	i := sort.Search(len(es), func(i int) bool { return !Less(es[i].Path, inside) })
	for ; i < len(es) && strings.HasPrefix(es[i].Path, inside); i++ {
		if s.opt.Skip == nil || !s.opt.Skip(es[i].Path) {
			s.take(&es[i])
		}
	}
	return true
}

func (s *scanner) take(e *Entry) {
	if e.Type != Char && e.Type != Block {
		s.found = append(s.found, scanned{Entry: *e, from: true})
	}
}

func (s *scanner) path(rel string) string {
	if rel == "." {
		return s.root
	}
	return s.root + "/" + rel
}

// stat appends what is at rel, unless it is a whiteout (a character device
// 0/0, which nothing else is).
func (s *scanner) stat(rel string) error {
	f := scanned{Entry: Entry{Path: rel}}
	if err := unix.Lstat(s.path(rel), &f.st); err != nil {
		return &fs.PathError{Op: "lstat", Path: s.path(rel), Err: err}
	}
	st, e := &f.st, &f.Entry
	e.Mode, e.UID, e.GID = st.Mode&0o7777, st.Uid, st.Gid
	e.MTime, e.MNsec = st.Mtim.Sec, uint32(st.Mtim.Nsec)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Type, e.Size = File, st.Size
	case unix.S_IFDIR:
		e.Type = Dir
	case unix.S_IFLNK:
		e.Type = Symlink
	case unix.S_IFCHR, unix.S_IFBLK:
		e.Type, e.Major, e.Minor = Block, unix.Major(st.Rdev), unix.Minor(st.Rdev)
		if st.Mode&unix.S_IFMT == unix.S_IFCHR {
			e.Type = Char
		}
		if e.Type == Char && st.Rdev == 0 {
			return nil
		}
	case unix.S_IFIFO:
		e.Type = Fifo
	case unix.S_IFSOCK:
		e.Type = Socket
	default:
		return fmt.Errorf("%s: unknown type, mode %#o", s.path(rel), st.Mode)
	}
	s.found = append(s.found, f)
	return nil
}

// read fills in what needs more than a stat, in parallel. Of a hard-link group
// only the first found member is hashed.
func (s *scanner) read(ctx context.Context) error {
	first := make(map[[2]uint64]int)
	same := make(map[int]int)
	for i := range s.found {
		if f := &s.found[i]; f.Type == File && !f.from && f.st.Nlink > 1 {
			key := [2]uint64{f.st.Dev, f.st.Ino}
			if j, ok := first[key]; ok {
				same[i] = j
			} else {
				first[key] = i
			}
		}
	}
	n := s.opt.Parallel
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range n {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < len(s.found); i = int(next.Add(1)) - 1 {
				_, linked := same[i]
				if err := s.readOne(&s.found[i], linked); err != nil {
					return err
				}
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
			return nil
		})
	}
	err := g.Wait()
	for i, j := range same {
		s.found[i].Digest = s.found[j].Digest
	}
	return err
}

func (s *scanner) readOne(f *scanned, linked bool) (err error) {
	if f.from {
		return nil
	}
	path := s.path(f.Path)
	if f.Xattrs, f.drop, err = readXattrs(path); err != nil {
		return err
	}
	switch {
	case f.Type == Symlink:
		f.Target, err = os.Readlink(path)
	case f.Type != File || linked || f.drop:
	case f.Size == 0:
		f.Digest = Empty
	default:
		known := false
		if s.opt.Known != nil {
			f.Digest, known = s.opt.Known(f.Path, &f.st)
		}
		if !known {
			f.Digest, err = hashFile(path, f.Size)
		}
	}
	return err
}

func hashFile(path string, size int64) (d Digest, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return d, err
	}
	defer f.Close()
	h := sha256.New()
	buf := xattrBuffers.Get().(*[]byte)
	defer xattrBuffers.Put(buf)
	n, err := io.CopyBuffer(h, struct{ io.Reader }{f}, *buf)
	if err == nil && n != size {
		err = fmt.Errorf("%s changed while it was read: %d bytes, then %d", filepath.Base(path), size, n)
	}
	return Digest(h.Sum(d[:0])), err
}

// manifest sorts, and names hard-link groups by their first path.
func (s *scanner) manifest() *Manifest {
	m := &Manifest{Entries: make([]Entry, 0, len(s.found))}
	inode := make(map[string]any) // what the members of a hard-link group have in common
	for i := range s.found {
		f := &s.found[i]
		if f.drop {
			continue
		}
		switch {
		case f.from && f.Type != Dir:
			inode[f.Path] = cmp.Or(f.Link, f.Path) // the group's name below
			f.Link = ""
		case f.Type != Dir && f.st.Nlink > 1:
			inode[f.Path] = [2]uint64{f.st.Dev, f.st.Ino}
		}
		m.Entries = append(m.Entries, f.Entry)
	}
	m.Sort()
	first := make(map[any]string)
	for i := range m.Entries {
		e := &m.Entries[i]
		if id, ok := inode[e.Path]; !ok {
		} else if p, ok := first[id]; ok {
			e.Link = p
		} else {
			first[id] = e.Path
		}
	}
	return m
}
