package equal

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/tree"
)

// group is what probably has one cause: the same package and the same kind.
type group struct {
	owner, kind string
	findings    []Finding
}

// perGroup and perFile bound what the report says of one cause and one file.
const (
	perGroup = 12
	perFile  = 12
)

// Report describes findings, those with one cause together, with the lines
// that differ.
func Report(findings []Finding, ref, ours *Tree) string { return report(findings, ref, ours, true) }

// Outline is Report without contents, which may be keys.
func Outline(findings []Finding, ref, ours *Tree) string { return report(findings, ref, ours, false) }

func report(findings []Finding, ref, ours *Tree, text bool) string {
	var b strings.Builder
	for _, g := range grouped(findings, ref) {
		fmt.Fprintf(&b, "%s: %s: %d\n", g.owner, g.kind, len(g.findings))
		for i, f := range g.findings {
			if i == perGroup {
				fmt.Fprintf(&b, "    and %d more\n", len(g.findings)-i)
				break
			}
			fmt.Fprintf(&b, "    /%s%s\n", f.Path, f.detail(ref, ours))
			if text && slices.Contains(f.Attrs, tree.AttrContent) && i < 4 {
				b.WriteString(textDifference(&f, ref, ours))
			}
		}
	}
	return b.String()
}

func grouped(findings []Finding, ref *Tree) []*group {
	owners := listOwners(findings, ref)
	var out []*group
	byName := map[[2]string]*group{}
	for _, f := range findings {
		owner := owners[f.Path]
		if owner == "" {
			owner = "(no package) /" + tree.Parent(f.Path)
		}
		key := [2]string{owner, f.kind()}
		g := byName[key]
		if g == nil {
			g = &group{owner: key[0], kind: key[1]}
			byName[key] = g
			out = append(out, g)
		}
		g.findings = append(g.findings, f)
	}
	return out
}

func (f *Finding) kind() string {
	switch f.Change {
	case tree.Added:
		return "only slipway has"
	case tree.Removed:
		return "only mmdebstrap has"
	}
	words := make([]string, len(f.Attrs))
	for i, attr := range f.Attrs {
		words[i] = string(attr)
	}
	return strings.Join(words, ", ")
}

// detail gives both values of what differs.
func (f *Finding) detail(ref, ours *Tree) string {
	if f.Change != tree.Changed {
		e := f.Ref
		if e == nil {
			e = f.Ours
		}
		return fmt.Sprintf(" (%c %o %d bytes%s)", e.Type, e.Mode, e.Size, arrow(e.Target))
	}
	var b strings.Builder
	for _, attr := range f.Attrs {
		fmt.Fprintf(&b, " %s %s, ours %s;", attr, value(attr, f.Ref, ref), value(attr, f.Ours, ours))
	}
	return b.String()
}

func arrow(target string) string {
	if target == "" {
		return ""
	}
	return " -> " + target
}

func value(attr tree.Attribute, e *tree.Entry, t *Tree) string {
	switch attr {
	case tree.AttrType:
		return string(rune(e.Type))
	case tree.AttrMode:
		return fmt.Sprintf("%o", e.Mode)
	case tree.AttrUID:
		return fmt.Sprintf("%d(%s)", e.UID, t.users[e.UID])
	case tree.AttrGID:
		return fmt.Sprintf("%d(%s)", e.GID, t.groups[e.GID])
	case tree.AttrSize:
		return fmt.Sprint(e.Size)
	case tree.AttrContent:
		return e.Digest.String()[:8]
	case tree.AttrTarget:
		return e.Target
	case tree.AttrDevice:
		return fmt.Sprintf("%d:%d", e.Major, e.Minor)
	case tree.AttrXattrs:
		return fmt.Sprintf("%q", e.Xattrs)
	case tree.AttrLink:
		return fmt.Sprintf("%q", e.Link)
	}
	return "?"
}

// textDifference shows lines that only one of two texts has.
func textDifference(f *Finding, ref, ours *Tree) string {
	a, errA := ref.Read(f.Path)
	b, errB := ours.Read(f.Path)
	if errA != nil || errB != nil || bytes.IndexByte(a, 0) >= 0 || bytes.IndexByte(b, 0) >= 0 {
		return ""
	}
	var out strings.Builder
	n := only(&out, "-", a, b) + only(&out, "+", b, a)
	if n == 0 {
		out.WriteString("        the same lines in another order\n")
	}
	return out.String()
}

// only writes the lines of a that b has not.
func only(out *strings.Builder, sign string, a, b []byte) (n int) {
	have := map[string]int{}
	for line := range strings.Lines(string(b)) {
		have[line]++
	}
	for line := range strings.Lines(string(a)) {
		if have[line]--; have[line] >= 0 {
			continue
		}
		if n++; n <= perFile {
			fmt.Fprintf(out, "      %s %.160q\n", sign, strings.TrimSuffix(line, "\n"))
		}
	}
	return n
}

// listOwners finds the packages whose file lists hold the paths.
func listOwners(findings []Finding, t *Tree) map[string]string {
	wanted := map[string]bool{}
	for _, f := range findings {
		wanted[f.Path] = true
	}
	owners := map[string]string{}
	for _, e := range t.Manifest.Entries {
		name, ok := strings.CutPrefix(e.Path, "var/lib/dpkg/info/")
		if !ok || !strings.HasSuffix(name, ".list") {
			continue
		}
		data, err := t.Read(e.Path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			p := strings.Trim(line, "/\n")
			if wanted[p] && owners[p] == "" {
				owners[p] = strings.TrimSuffix(name, ".list")
			}
		}
	}
	return owners
}
