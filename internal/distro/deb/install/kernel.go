package install

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// userlandFirst configures everything but kernels, and what needs them, and
// processes the triggers. The initramfs is then made once, by the kernel's own
// script, and not a second time by the trigger of the packages whose programs
// it holds. The order among the others stays that of "--configure --pending".
func (in *Installer) userlandFirst(ctx context.Context) error {
	kernels := in.kernels()
	if len(kernels) == 0 {
		return nil
	}
	var others []Package
	for _, r := range in.db.pending() {
		if !kernels[r] {
			others = append(others, Package{Name: r.name, Arch: r.arch})
		}
	}
	if len(others) == 0 {
		return nil
	}
	return in.dpkg(ctx, append([]string{"--configure"}, keys(others)...)...)
}

// kernels are the unconfigured kernel packages and those that depend on them.
func (in *Installer) kernels() map[*record]bool {
	late, names := map[*record]bool{}, map[string]bool{}
	for _, r := range in.db.records {
		if r.unconfigured() && strings.HasPrefix(r.name, "linux-image-") {
			late[r], names[r.name] = true, true
		}
	}
	for grown := len(late) > 0; grown; {
		grown = false
		for _, r := range in.db.records {
			if !late[r] && r.unconfigured() && r.needs(names) {
				late[r], names[r.name], grown = true, true, true
			}
		}
	}
	return late
}

func (r *record) unconfigured() bool { return r.state == unpacked || r.state == halfConfigured }

// needs tells whether a package names one of these in its dependencies, even
// as one of several alternatives.
func (r *record) needs(names map[string]bool) bool {
	for _, field := range []string{"Pre-Depends", "Depends"} {
		for _, word := range strings.FieldsFunc(r.fields.Value(field), func(c rune) bool { return strings.ContainsRune(" ,|\n\t()", c) }) {
			name, _, _ := strings.Cut(word, ":")
			if names[name] {
				return true
			}
		}
	}
	return false
}

// pending lists the unconfigured packages as dpkg goes through its table: by a
// hash (FNV-1a) of the name among 65521 places.
func (d *database) pending() []*record {
	place := func(name string) uint32 {
		h := uint32(2166136261)
		for i := 0; i < len(name); i++ {
			h = (h ^ uint32(name[i])) * 16777619
		}
		return h % 65521
	}
	var all []*record
	for _, r := range d.records {
		if r.unconfigured() {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *record) int {
		return cmp.Or(cmp.Compare(place(a.name), place(b.name)), cmp.Compare(a.name, b.name), cmp.Compare(a.arch, b.arch))
	})
	return all
}
