package build

import (
	"golang.org/x/sys/unix"

	"slipway/internal/store"
	"slipway/internal/tree"
)

// knownFiles remembers the digests of files that this build wrote itself or
// inherited, so that a finished tree is not read a second time. A file is
// recognised by path, size and modification time to the nanosecond: scripts
// that change a file move at least one of them.
type knownFiles struct {
	byPath map[string]knownFile
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

// inherit notes all files of a parent layer.
func (k *knownFiles) inherit(m *tree.Manifest) {
	for _, e := range m.Entries {
		if e.Type == tree.File {
			k.byPath[e.Path] = knownFile{e.Size, e.MTime, e.MNsec, e.Digest}
		}
	}
}

// find is the scan's question.
func (k *knownFiles) find(path string, st *unix.Stat_t) (tree.Digest, bool) {
	f, ok := k.byPath[path]
	if !ok || f.size != st.Size || f.sec != st.Mtim.Sec || int64(f.nsec) != st.Mtim.Nsec {
		return tree.Digest{}, false
	}
	return f.digest, true
}
