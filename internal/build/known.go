package build

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"slipway/internal/store"
	"slipway/internal/tree"
)

// knownFiles remembers the digests of files that this build wrote itself or
// inherited, so that a finished tree is not read a second time.
//
// A file from a package is recognised by path, size and modification time, and
// by the time of its last change of any kind, which nothing can set: it must
// lie before the first program that ran after the file was written. None of
// this helps with what scripts wrote, because all such times are clamped to one
// date: an inherited file counts only as long as this layer has no copy.
type knownFiles struct {
	byPath    map[string]knownFile
	inherited map[string]knownFile
	upper     string          // what this layer adds to its parent
	programs  []unix.Timespec // when programs of the tree were started, in order
}

type knownFile struct {
	size   int64
	sec    int64
	nsec   uint32
	digest tree.Digest
	before int // the first program that started after the file was written
}

func newKnownFiles() *knownFiles { return &knownFiles{byPath: map[string]knownFile{}} }

// add notes a file that was unpacked from a pack.
func (k *knownFiles) add(path string, pack *store.Pack, index int) {
	e := pack.Entries()[index]
	k.byPath[path] = knownFile{e.Size, e.MTime, e.MNsec, e.Digest, len(k.programs)}
}

// program notes that a program of the tree is about to run. The coarse clock
// is the one that files get their times from.
func (k *knownFiles) program() {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now) != nil {
		now = unix.Timespec{} // then every file is read
	}
	k.programs = append(k.programs, now)
}

// untouched tells whether no program can have changed a file.
func (k *knownFiles) untouched(f knownFile, st *unix.Stat_t) bool {
	if f.before >= len(k.programs) {
		return true
	}
	start := k.programs[f.before]
	return st.Ctim.Sec < start.Sec || st.Ctim.Sec == start.Sec && st.Ctim.Nsec < start.Nsec
}

// inherit notes all files of a parent layer, over which upper was laid.
func (k *knownFiles) inherit(m *tree.Manifest, upper string) {
	k.inherited, k.upper = map[string]knownFile{}, upper
	for _, e := range m.Entries {
		if e.Type == tree.File {
			k.inherited[e.Path] = knownFile{size: e.Size, sec: e.MTime, nsec: e.MNsec, digest: e.Digest}
		}
	}
}

// find is the scan's question.
func (k *knownFiles) find(path string, st *unix.Stat_t) (tree.Digest, bool) {
	if f, ok := k.byPath[path]; ok && f.is(st) && k.untouched(f, st) {
		return f.digest, true
	}
	f, ok := k.inherited[path]
	if !ok || !f.is(st) {
		return tree.Digest{}, false
	}
	var own unix.Stat_t
	if unix.Lstat(filepath.Join(k.upper, path), &own) != unix.ENOENT {
		return tree.Digest{}, false
	}
	return f.digest, true
}

func (f knownFile) is(st *unix.Stat_t) bool {
	return f.size == st.Size && f.sec == st.Mtim.Sec && int64(f.nsec) == st.Mtim.Nsec
}
