// Package store is the local content-addressed cache: downloaded objects,
// unpacked packages (packs), layers with their folders, and the log of what
// was done with them.
//
//	version              the format, one line
//	lock, locks/<name>   flock(2) files; empty
//	debs/<sha256>.deb    objects as they were downloaded, by kind and digest
//	apks/<sha256>.apk
//	files/<sha256>.file  what definitions take from the network
//	indexes/             for the family: indexes and what it remembers of them
//	packs/<sha256>.pack  one package unpacked: contents, index, control members
//	layers/<key>/        manifest, pack (contents in no package), meta.json
//	trees/<key>/         the layer as an overlay folder, with shifted ids
//	tools/<key>/         foreign programs unpacked for slipway itself
//	pins/<name>          a key that garbage collection must keep
//	tmp/                 everything that is not finished
//	run/, state/         for the targets: what running machines write, closed
//	                     to other users even where the store itself is not
//	state.log            see Log
//
// Everything is written in tmp and renamed. Objects are synced before they
// get their name. Packs are not: each checks itself when read, and can be made
// again. Layers are synced later by Flush, and until then count only during
// the boot that wrote them; so a killed process or a power cut at any moment
// leaves a valid store, and no build waits for the disk.
//
// Any number of processes of one user may use a store at once. The store of
// another user can be read, never written, and its contents are checked
// against their digests even where our own would be trusted.
//
// The package knows nothing of packages' formats or of images.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// WorkerOwner is the id that stands for the caller inside a worker's user
// namespace; ids below it belong to the machine.
const WorkerOwner = 65536

// Options for Open.
type Options struct {
	// Worker is set by a process in a worker's user namespace: what it
	// writes is given to WorkerOwner, the store must exist, and who owns
	// it is not judged again.
	Worker bool
	// ReadOnly opens an existing store without writing to it.
	ReadOnly bool
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	dir       string
	opt       Options
	readOnly  bool
	foreign   bool     // another user's
	abandoned []string // folders in tmp that nobody works in
	use       *os.File

	added sync.Map // objects that this program has stored: kind and digest

	layerMu sync.Mutex
	layers  map[string]*Layer
}

// subdirs exist in every store.
var subdirs = []string{"debs", "apks", "tarballs", "files", "packs", "indexes", "layers", "trees", "tools", "images", "pins", "locks", "tmp", "run", "state"}

// Open opens the store in dir and creates it (mode 0700) if need be. The
// caller closes it.
//
// A store that belongs to another user, or that lies on a read-only
// filesystem, is opened for reading when it exists. A store that a newer
// slipway made is an error.
func Open(dir string, opt Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	s := &Store{dir: dir, opt: opt, readOnly: opt.ReadOnly, layers: make(map[string]*Layer)}
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) open() error {
	st, err := os.Stat(s.dir)
	switch {
	case err == nil && !st.IsDir():
		return fmt.Errorf("opening the store: %s is not a folder; name another with --store DIR", s.dir)
	case errors.Is(err, fs.ErrNotExist) && !s.opt.Worker && !s.opt.ReadOnly:
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return s.explain(creating, err)
		}
	case err != nil:
		return s.explain("opening the store", err)
	}
	s.judgeOwner()
	if err := s.checkVersion(); err != nil {
		return err
	}
	if !s.readOnly && !s.opt.Worker {
		for _, d := range subdirs {
			if err := os.MkdirAll(s.path(d), 0o700); err != nil {
				return s.explain(creating, err)
			}
		}
	}
	return s.markUse()
}

// judgeOwner decides whether the store is ours to write. The files of another
// user's store could change under our hands, so nothing in it is trusted.
func (s *Store) judgeOwner() {
	var st unix.Stat_t
	if s.opt.Worker || unix.Stat(s.dir, &st) != nil {
		return
	}
	if int(st.Uid) != os.Geteuid() {
		s.foreign, s.readOnly = true, true
	}
	if unix.Access(s.dir, unix.W_OK) == unix.EROFS {
		s.readOnly = true
	}
}

// Dir is the absolute path of the store.
func (s *Store) Dir() string { return s.dir }

// ReadOnly reports whether the store can only be read; writes then fail with
// an error that says why.
func (s *Store) ReadOnly() bool { return s.readOnly }

// Foreign reports whether the store belongs to another user, so that whatever
// is read from it must be checked.
func (s *Store) Foreign() bool { return s.foreign }

// Close gives up the store. It does not wait for the disk; see Flush.
func (s *Store) Close() error {
	s.layerMu.Lock()
	defer s.layerMu.Unlock()
	for _, l := range s.layers {
		l.close()
	}
	s.layers = make(map[string]*Layer)
	if s.use != nil {
		s.use.Close()
		s.use = nil
	}
	return nil
}

func (s *Store) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// validName accepts digests, keys and other plain file names.
func validName(name string) bool {
	return name != "" && len(name) <= 200 && name[0] != '.' && !strings.ContainsAny(name, "/\x00\n")
}
