package equal

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"slipway/internal/tree"
)

// Rule is a difference that may be, and why.
type Rule struct {
	// Path is a pattern of path.Match; one that ends in "/**" means all that
	// lies below a folder.
	Path string
	// Change is what may differ: Added (only slipway has it), Removed (only
	// mmdebstrap has it), or Changed, which here means the content.
	Change tree.Change
	// Equal, if set, judges two contents that differ in their bytes.
	Equal  func(ref, ours []byte) bool
	Reason string
}

// Allowed is the whole list.
var Allowed = []Rule{
	{Path: "etc/resolv.conf", Change: tree.Removed,
		Reason: "mmdebstrap copies the resolver of the host it runs on, which is no machine's own"},
	{Path: "etc/.resolv.conf.systemd-resolved.bak", Change: tree.Removed,
		Reason: "systemd-resolved's copy of the same file"},
	{Path: "etc/apt/sources.list", Change: tree.Changed,
		Reason: "slipway names the official addresses, mmdebstrap the mirror that it used"},
	{Path: "var/lib/dpkg/status-old", Change: tree.Changed,
		Reason: "a backup from before dpkg's last checkpoint, and slipway writes the database in other steps than apt makes dpkg do"},
	{Path: "var/cache/debconf/*.dat-old", Change: tree.Changed,
		Reason: "backups from before debconf's last question; slipway configures what machines share in a step of its own"},
	{Path: "etc/group*", Change: tree.Changed, Equal: sameLines,
		Reason: "the same lines; their order follows the order in which scripts run, which dpkg leaves open"},
	{Path: "etc/gshadow*", Change: tree.Changed, Equal: sameLines, Reason: "the same"},
	{Path: "etc/shadow*", Change: tree.Changed, Equal: sameLines, Reason: "the same"},
	{Path: "var/lib/mysql/**", Change: tree.Removed,
		Reason: "the database is made at the machine's first start; half of its files differ between mmdebstrap's own runs"},
	{Path: "var/lib/postgresql/**", Change: tree.Removed,
		Reason: "the same; a cluster has an identity of its own"},
}

// match tells whether the rule covers a finding.
func (r *Rule) match(f *Finding, ref, ours *Tree) bool {
	if r.Change != f.Change || !matchPath(r.Path, f.Path) {
		return false
	}
	if f.Change != tree.Changed {
		return true
	}
	for _, attr := range f.Attrs {
		if attr != tree.AttrContent && attr != tree.AttrSize {
			return false
		}
	}
	if r.Equal == nil {
		return true
	}
	a, errA := ref.Read(f.Path)
	b, errB := ours.Read(f.Path)
	return errA == nil && errB == nil && r.Equal(a, b)
}

func matchPath(pattern, name string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/**"); ok {
		return strings.HasPrefix(name, dir+"/")
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// Permit splits findings into those that no rule covers and, by rule, the others.
func Permit(findings []Finding, ref, ours *Tree) (left []Finding, permitted map[*Rule][]Finding) {
	permitted = map[*Rule][]Finding{}
next:
	for _, f := range findings {
		for i := range Allowed {
			if r := &Allowed[i]; r.match(&f, ref, ours) {
				permitted[r] = append(permitted[r], f)
				continue next
			}
		}
		left = append(left, f)
	}
	return left, permitted
}

// sameLines compares texts whose lines may stand in any order.
func sameLines(a, b []byte) bool {
	return slices.EqualFunc(sortedLines(a), sortedLines(b), bytes.Equal)
}

func sortedLines(data []byte) [][]byte {
	lines := bytes.Split(data, []byte{'\n'})
	slices.SortFunc(lines, bytes.Compare)
	return lines
}
