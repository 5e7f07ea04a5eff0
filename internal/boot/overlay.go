package boot

import (
	"crypto/sha256"
	"path"
	"slices"

	"slipway/internal/tree"
)

// overlay collects what is added to a tree, in memory.
type overlay struct {
	epoch   int64
	entries map[string]tree.Entry
	content tree.Bytes
	drop    func(name string) bool // what of the tree below is left out; may be nil
}

func newOverlay(epoch int64) *overlay {
	return &overlay{epoch: epoch, entries: map[string]tree.Entry{}, content: tree.Bytes{}}
}

// file adds a file, in place of one that is there.
func (o *overlay) file(name string, mode uint32, data []byte) {
	o.put(tree.Entry{Path: name, Type: tree.File, Mode: mode, MTime: o.epoch, Size: int64(len(data)), Digest: o.content.Add(data)})
}

// copied adds a file whose content is somewhere already.
func (o *overlay) copied(name string, mode uint32, of *tree.Entry) {
	o.put(tree.Entry{Path: name, Type: tree.File, Mode: mode, MTime: min(of.MTime, o.epoch), Size: of.Size, Digest: of.Digest})
}

func (o *overlay) dir(name string) {
	o.put(tree.Entry{Path: name, Type: tree.Dir, Mode: 0o755, MTime: o.epoch})
}

func (o *overlay) put(e tree.Entry) { o.entries[e.Path] = e }

// over gives a manifest with the overlay applied. Folders that are missing
// above what is added are made.
func (o *overlay) over(m *tree.Manifest) *tree.Manifest {
	out := &tree.Manifest{Entries: make([]tree.Entry, 0, len(m.Entries)+2*len(o.entries))}
	there := map[string]bool{}
	for _, e := range m.Entries {
		add, replaced := o.entries[e.Path]
		if replaced && !(add.Type == tree.Dir && e.Type == tree.Dir) || o.drop != nil && o.drop(e.Path) {
			continue
		}
		if e.Type == tree.Dir {
			there[e.Path] = true
		}
		out.Entries = append(out.Entries, e)
	}
	for _, name := range sortedKeys(o.entries) {
		e := o.entries[name]
		if e.Type == tree.Dir && there[name] {
			continue
		}
		out.Entries = o.parents(out.Entries, name, there)
		there[name] = e.Type == tree.Dir
		out.Entries = append(out.Entries, e)
	}
	out.Sort()
	relink(out)
	return out
}

func (o *overlay) parents(es []tree.Entry, name string, there map[string]bool) []tree.Entry {
	dir := path.Dir(name)
	if dir == "." && len(es) > 0 && there["."] || there[dir] || name == "." {
		return es
	}
	es = o.parents(es, dir, there)
	there[dir] = true
	return append(es, tree.Entry{Path: dir, Type: tree.Dir, Mode: 0o755, MTime: o.epoch})
}

// relink makes groups of hard links whole again after a member was taken away:
// the first that is left is what the others name.
func relink(m *tree.Manifest) {
	first := map[string]string{}
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Link == "" || m.Lookup(e.Link) != nil && m.Lookup(e.Link).Link == "" && m.Lookup(e.Link).Digest == e.Digest {
			continue
		}
		if name, ok := first[e.Link]; ok {
			e.Link = name
		} else {
			first[e.Link] = e.Path
			e.Link = ""
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func digest(b []byte) tree.Digest { return sha256.Sum256(b) }
