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
// A file from a package is recognised by path, size and modification time to
// the nanosecond: scripts that change it move at least one of them. That is
// not enough for what scripts wrote, because all such times are clamped to one
// date: an inherited file counts only as long as this layer has no copy.
type knownFiles struct {
	byPath    map[string]knownFile
	inherited map[string]knownFile
	upper     string // what this layer adds to its parent
}

type knownFile struct {
	size   int64
	sec    int64
	nsec   uint32
	digest tree.Digest
}

func newKnownFiles() *knownFiles { return &knownFiles{byPath: map[string]knownFile{}} }

// add notes a file that was unpacked from a pack.
func (k *knownFiles) add(path string, pack *store.Pack, index int) {
	e := pack.Entries()[index]
	k.byPath[path] = knownFile{e.Size, e.MTime, e.MNsec, e.Digest}
}

// inherit notes all files of a parent layer, over which upper was laid.
func (k *knownFiles) inherit(m *tree.Manifest, upper string) {
	k.inherited, k.upper = map[string]knownFile{}, upper
	for _, e := range m.Entries {
		if e.Type == tree.File {
			k.inherited[e.Path] = knownFile{e.Size, e.MTime, e.MNsec, e.Digest}
		}
	}
}

// find is the scan's question.
func (k *knownFiles) find(path string, st *unix.Stat_t) (tree.Digest, bool) {
	if f, ok := k.byPath[path]; ok && f.is(st) {
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
