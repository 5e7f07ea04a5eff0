package equal

import (
	"slices"

	"slipway/internal/tree"
)

// Finding is a path in which two trees differ.
type Finding struct {
	Path   string
	Change tree.Change // Added: only slipway has it; Removed: only the reference
	Attrs  []tree.Attribute
	Ref    *tree.Entry
	Ours   *tree.Entry
}

// Compare lists what differs between a reference and another tree, times left out.
func Compare(ref, ours *Tree) []Finding {
	var out []Finding
	for _, d := range tree.Compare(ref.Manifest, ours.Manifest) {
		f := Finding{Path: d.Path, Change: d.Change, Ref: d.A, Ours: d.B}
		for _, attr := range d.Attrs {
			switch {
			case attr == tree.AttrMTime,
				attr == tree.AttrUID && sameID(d.A.UID, d.B.UID, ref.users, ours.users),
				attr == tree.AttrGID && sameID(d.A.GID, d.B.GID, ref.groups, ours.groups):
			default:
				f.Attrs = append(f.Attrs, attr)
			}
		}
		if f.Change != tree.Changed || len(f.Attrs) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// Subtract leaves out what differs between the reference's own two runs as well.
func Subtract(findings, noise []Finding) []Finding {
	byPath := map[string]*Finding{}
	for i := range noise {
		byPath[noise[i].Path] = &noise[i]
	}
	var out []Finding
	for _, f := range findings {
		n := byPath[f.Path]
		if n == nil {
			out = append(out, f)
			continue
		}
		if f = f.without(n); f.Change != "" {
			out = append(out, f)
		}
	}
	return out
}

// without removes the attributes in which the reference differs from itself;
// a change of "" means that nothing is left. A path that the reference makes
// with another content each time is minted: a built tree must not have it, and
// that it is absent is no difference.
func (f Finding) without(n *Finding) Finding {
	minted := n.Change != tree.Changed || slices.Contains(n.Attrs, tree.AttrContent)
	if f.Change != tree.Changed || n.Change != tree.Changed {
		if minted && (f.Change == tree.Removed || n.Change != tree.Changed) {
			return Finding{}
		}
		return f
	}
	var left []tree.Attribute
	for _, attr := range f.Attrs {
		if !slices.Contains(n.Attrs, attr) && !(attr == tree.AttrSize && minted) {
			left = append(left, attr)
		}
	}
	if f.Attrs = left; len(left) == 0 {
		return Finding{}
	}
	return f
}
