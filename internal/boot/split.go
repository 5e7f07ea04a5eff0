package boot

import (
	"context"
	"path"
	"strings"

	"slipway/internal/tree"
)

// split gives each partition its files. What lies below a mount point of
// another partition goes there, and the mount point stays as an empty folder.
func (a *assembly) split(context.Context) error {
	whole := a.root.over(a.Manifest)
	a.whole = whole
	if len(a.Partitions) == 0 {
		a.result.Trees = []*tree.Manifest{whole}
		return nil
	}
	a.result.Trees = make([]*tree.Manifest, len(a.Partitions))
	moved := map[string]bool{} // folders whose content is elsewhere
	for i, p := range a.Partitions {
		switch p.Use {
		case "esp":
			a.result.Trees[i] = a.esp.over(&tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755, MTime: a.Epoch}}})
		case "boot", "data":
			dir := a.inTree(p.Mount)
			a.result.Trees[i] = below(whole, map[string]string{dir: "."}, a.Epoch)
			moved[dir] = true
		case "state":
			parts := map[string]string{}
			for _, s := range a.Definition.State {
				dir := a.inTree(s)
				parts[dir] = strings.TrimPrefix(path.Clean(s), "/")
				moved[dir] = true
			}
			a.result.Trees[i] = below(whole, parts, a.Epoch)
		}
	}
	for i, p := range a.Partitions {
		if p.Use == "root" {
			a.result.Trees[i] = without(whole, moved)
		}
	}
	return nil
}

// inTree is where a folder of the machine is in the tree, past links.
func (a *assembly) inTree(dir string) string {
	dir = strings.TrimPrefix(path.Clean(dir), "/")
	if e := a.fs.Resolve(dir); e != nil {
		return e.Path
	}
	return dir
}

// below cuts folders out of a tree and puts them at new places; the longest
// name that fits counts.
func below(m *tree.Manifest, parts map[string]string, epoch int64) *tree.Manifest {
	o := newOverlay(epoch)
	o.dir(".")
	for _, e := range m.Entries {
		from := owner(e.Path, func(dir string) bool { _, ok := parts[dir]; return ok })
		if from == "" {
			continue
		}
		e.Path = path.Join(parts[from], strings.TrimPrefix(e.Path, from))
		if e.Link != "" {
			if owner(e.Link, func(dir string) bool { return dir == from }) != "" {
				e.Link = path.Join(parts[from], strings.TrimPrefix(e.Link, from))
			}
		}
		o.put(e)
	}
	return o.over(&tree.Manifest{})
}

// without leaves out what is below some folders, but not the folders.
func without(m *tree.Manifest, moved map[string]bool) *tree.Manifest {
	if len(moved) == 0 {
		return m
	}
	out := &tree.Manifest{}
	for _, e := range m.Entries {
		if owner(tree.Parent(e.Path), func(dir string) bool { return moved[dir] }) == "" {
			out.Entries = append(out.Entries, e)
		}
	}
	relink(out)
	return out
}

// owner is the nearest folder at or above a path that is chosen; empty: none.
func owner(name string, chosen func(string) bool) string {
	for ; name != "."; name = tree.Parent(name) {
		if chosen(name) {
			return name
		}
	}
	return ""
}
