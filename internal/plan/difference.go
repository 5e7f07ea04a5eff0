package plan

import (
	"fmt"
	"sort"
)

// Change is one package that differs between two locks.
type Change struct {
	Name string `json:"name"`
	Arch string `json:"arch"`
	From string `json:"from"` // empty: added
	To   string `json:"to"`   // empty: removed
}

// String says the change in words.
func (c Change) String() string {
	switch {
	case c.From == "":
		return fmt.Sprintf("%s %s added", c.Name, c.To)
	case c.To == "":
		return fmt.Sprintf("%s %s removed", c.Name, c.From)
	case c.From == c.To:
		return fmt.Sprintf("%s %s has other bytes", c.Name, c.From)
	}
	return fmt.Sprintf("%s %s -> %s", c.Name, c.From, c.To)
}

// Differences lists how the packages of b differ from those of a, by name.
// Either may be nil.
func Differences(a, b []Package) []Change {
	type key struct{ name, arch string }
	was := map[key]Package{}
	for _, p := range a {
		was[key{p.Name, p.Arch}] = p
	}
	var out []Change
	for _, p := range b {
		k := key{p.Name, p.Arch}
		old, ok := was[k]
		delete(was, k)
		if !ok {
			out = append(out, Change{Name: p.Name, Arch: p.Arch, To: p.Version})
		} else if old.Version != p.Version || old.SHA256 != p.SHA256 {
			out = append(out, Change{Name: p.Name, Arch: p.Arch, From: old.Version, To: p.Version})
		}
	}
	for k, p := range was {
		out = append(out, Change{Name: k.name, Arch: k.arch, From: p.Version})
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Name+out[i].Arch < out[j].Name+out[j].Arch
	})
	return out
}
