package modules

import (
	"fmt"
	"sort"
	"strings"
)

// Tables gives the text tables for a part of the modules, by file name, in the
// same formats as Open reads. Paths lose the ending of a compression.
func (t *Tree) Tables(names []string) []Table {
	kept := map[string]bool{}
	for _, n := range names {
		kept[n] = true
	}
	return []Table{
		{"modules.dep", t.depTable(names)},
		{"modules.alias", t.aliasTable(kept)},
		{"modules.softdep", t.softTable(names)},
		{"modules.builtin", t.builtinTable()},
	}
}

// Table is one of the files that describe modules.
type Table struct{ Name, Text string }

func (t *Tree) depTable(names []string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(plain(t.files[name]) + ":")
		for _, dep := range t.deps[name] {
			if file := t.files[dep]; file != "" {
				b.WriteString(" " + plain(file))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// plain is a module's path without the ending of a compression.
func plain(file string) string {
	if i := strings.LastIndex(file, ".ko."); i >= 0 {
		return file[:i+3]
	}
	return file
}

func (t *Tree) aliasTable(kept map[string]bool) string {
	patterns := make([]string, 0, len(t.exact))
	for pattern := range t.exact {
		patterns = append(patterns, pattern)
	}
	sort.Strings(patterns)
	var b strings.Builder
	line := func(pattern, module string) {
		if kept[module] {
			fmt.Fprintf(&b, "alias %s %s\n", pattern, module)
		}
	}
	for _, pattern := range patterns {
		for _, module := range t.exact[pattern] { // in depmod's order
			line(pattern, module)
		}
	}
	for _, a := range t.aliases {
		line(a.pattern, a.module)
	}
	return b.String()
}

func (t *Tree) softTable(names []string) string {
	var b strings.Builder
	for _, name := range names {
		if len(t.pre[name])+len(t.post[name]) == 0 {
			continue
		}
		b.WriteString("softdep " + name)
		if len(t.pre[name]) > 0 {
			b.WriteString(" pre: " + strings.Join(t.pre[name], " "))
		}
		if len(t.post[name]) > 0 {
			b.WriteString(" post: " + strings.Join(t.post[name], " "))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (t *Tree) builtinTable() string {
	names := make([]string, 0, len(t.builtin))
	for name := range t.builtin {
		names = append(names, name+".ko\n")
	}
	sort.Strings(names)
	return strings.Join(names, "")
}
