package install

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"slipway/internal/distro/deb/version"
	"slipway/internal/tree"
)

// ConflictError says that two packages ship the same file and neither declares
// that it replaces the other's.
type ConflictError struct {
	Path           string
	Package, Other string
	OtherVersion   string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("package %s ships this path, and so does %s (%s), and neither replaces the other; leave one of them out",
		e.Package, e.Other, e.OtherVersion)
}

// claim decides between this package and others that list the same path.
// shared: the file is another instance's of a Multi-Arch: same package, and
// stays. keep: the other package's file stays, and leaves our list.
func (j *job) claim(e *tree.Entry, there bool, st *unix.Stat_t) (shared, keep bool, err error) {
	for _, other := range j.in.db.files[e.Path] {
		if other == j.rec {
			continue
		}
		if other.name == j.rec.name && other.same && j.rec.same {
			shared = shared || there
			continue
		}
		if v, ok := j.in.db.divs.from[e.Path]; ok && v.pkg != "" && (v.pkg == other.name || v.pkg == j.rec.name) {
			continue
		}
		switch {
		case !there && e.Type == tree.Dir, other.state == configFiles,
			replaces(j.control.Value("Replaces"), other):
			j.taken[other] = true
		case replaces(other.fields.Value("Replaces"), j.rec):
			keep = true
		default:
			return false, false, &ConflictError{e.Path, j.p.Name, other.name, other.version}
		}
	}
	return shared, keep, nil
}

// replaces tells whether a Replaces field names a package in its version.
func replaces(field string, r *record) bool {
	for _, relation := range strings.Split(field, ",") {
		name, rest, _ := strings.Cut(strings.TrimSpace(relation), "(")
		name, arch, _ := strings.Cut(strings.TrimSpace(name), ":")
		if name != r.name || (arch != "" && arch != "any" && arch != r.arch) {
			continue
		}
		f := strings.Fields(strings.TrimSuffix(strings.TrimSpace(rest), ")"))
		switch len(f) {
		case 0:
			return true
		case 1: // "(<<1.2)"
			op := strings.TrimRight(f[0], "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.+-:~")
			f = []string{op, f[0][len(op):]}
		}
		if version.Satisfies(r.version, f[0], f[1]) {
			return true
		}
	}
	return false
}

// compare checks that a shared file is the same in both instances.
func (j *job) compare(i int, e *tree.Entry, name string, st *unix.Stat_t) error {
	kind := st.Mode & unix.S_IFMT
	same := false
	switch e.Type {
	case tree.Dir:
		same = kind == unix.S_IFDIR
	case tree.Symlink:
		target, err := j.in.root.Readlink(name)
		same = err == nil && target == e.Target
	case tree.File:
		d, err := j.in.root.Digest(name)
		same = err == nil && kind == unix.S_IFREG && d == e.Digest
	default:
		same = kind == unix.S_IFIFO || kind == unix.S_IFCHR || kind == unix.S_IFBLK
	}
	if !same {
		return fmt.Errorf("it differs from the one that %s of another architecture has installed", j.p.Name)
	}
	return nil
}
