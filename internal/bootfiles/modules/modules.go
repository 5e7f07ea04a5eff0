// Package modules knows the modules of a kernel: it reads the tables that
// depmod writes beside them (modules.dep, modules.alias, modules.softdep,
// modules.builtin; depmod.d(5), modules.dep(5)) and answers which modules a
// name, an alias or a device needs, in the order in which they load.
//
// It reads the text tables, never the binary ones, and does not load anything.
package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// Tree is the modules of one kernel.
type Tree struct {
	Version string // uname -r
	Dir     string // folder of the modules in its file system, without leading slash

	files   map[string]string   // name: path below Dir
	deps    map[string][]string // name: names needed directly
	builtin map[string]bool
	aliases []alias
	exact   map[string][]string // aliases without wildcards
	pre     map[string][]string // soft dependencies, loaded before and after
	post    map[string][]string
}

type alias struct{ pattern, module string }

// Open reads the tables of a kernel's modules in a machine's file system.
func Open(root fs.FS, version string) (*Tree, error) {
	var t *Tree
	var err error
	for _, dir := range []string{"usr/lib/modules", "lib/modules"} {
		t = newTree(version, path.Join(dir, version))
		err = t.read(root)
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the machine has no modules of kernel %s (no modules.dep in /lib/modules/%s): %w", version, version, err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the modules of kernel %s: %w", version, err)
	}
	return t, nil
}

func newTree(version, dir string) *Tree {
	return &Tree{
		Version: version, Dir: dir,
		files: map[string]string{}, deps: map[string][]string{}, builtin: map[string]bool{},
		exact: map[string][]string{}, pre: map[string][]string{}, post: map[string][]string{},
	}
}

func (t *Tree) read(root fs.FS) error {
	data, err := fs.ReadFile(root, path.Join(t.Dir, "modules.dep"))
	if err != nil {
		return err
	}
	t.parseDep(string(data))
	for name, parse := range map[string]func(string){
		"modules.builtin": t.parseBuiltin, "modules.alias": t.parseAlias, "modules.softdep": t.parseSoftdep,
	} {
		data, err := fs.ReadFile(root, path.Join(t.Dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		parse(string(data))
	}
	return nil
}

// Name is the kernel's name of a module: of its file, or of what somebody typed.
func Name(file string) string {
	name := path.Base(file)
	if i := strings.Index(name, ".ko"); i >= 0 {
		name = name[:i]
	}
	return strings.ReplaceAll(name, "-", "_")
}

// Builtin tells whether a module is part of the kernel itself.
func (t *Tree) Builtin(name string) bool { return t.builtin[Name(name)] }

// Has tells whether a module is there as a file.
func (t *Tree) Has(name string) bool { return t.files[Name(name)] != "" }

// File is the path of a module's file below Dir; empty if there is none.
func (t *Tree) File(name string) string { return t.files[Name(name)] }

// Names are all modules that are files, sorted.
func (t *Tree) Names() []string {
	names := make([]string, 0, len(t.files))
	for name := range t.files {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Deps are the modules that one needs loaded before itself: hard ones, and
// soft ones as far as they are there.
func (t *Tree) Deps(name string) (hard, soft []string) {
	name = Name(name)
	for _, s := range t.pre[name] {
		soft = append(soft, t.resolve(s)...)
	}
	return t.deps[name], soft
}

// Resolve gives the modules for a name or an alias (fs-ext4, a modalias of a
// device); none if nothing matches or it is part of the kernel.
func (t *Tree) Resolve(name string) []string { return t.resolve(name) }

func (t *Tree) resolve(name string) []string {
	if n := Name(name); t.files[n] != "" {
		return []string{n}
	}
	if t.builtin[Name(name)] {
		return nil
	}
	found := append([]string(nil), t.exact[name]...)
	for _, a := range t.aliases {
		if Match(a.pattern, name) {
			found = append(found, a.module)
		}
	}
	return unique(found)
}

func unique(names []string) []string {
	seen := map[string]bool{}
	kept := names[:0]
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			kept = append(kept, n)
		}
	}
	return kept
}
