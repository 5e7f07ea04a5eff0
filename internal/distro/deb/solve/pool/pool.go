// Package pool is the package universe that the resolver (solve) and the
// installation order (order) reason about: packages, their versions, what
// each version provides and, parsed only when asked for, its relations.
//
// It follows the data model of Debian's apt where results depend on it: one
// Package per name and architecture ("all" counts as native), names such as
// "python3:any" are packages of their own that are provided, several versions
// per package sorted highest first, and packages numbered in the order in
// which the indexes first mention them, because apt breaks ties between
// equally good providers by that number.
//
// It does not choose versions and knows no state; that is package solve.
// A Pool fills itself while it is read and is not safe for concurrent use.
package pool

import (
	"strings"

	"slipway/internal/distro/deb/control"
)

// Pool is all packages of one set of indexes plus the installed ones.
type Pool struct {
	Native  string
	Foreign []string

	native       map[string]*Package   // by name, native architecture
	groups       map[string][]*Package // further architectures of a name
	all          []*Package
	ordered      []*control.Package // index order, for numbering
	mentioned    map[string]int32   // numbers of names that were no package when counted; nil until then
	count        int32
	versions     int
	anyQualified bool // some name like "foo:amd64" exists

	packageSlab slab[Package]
	versionSlab slab[Version]
	provideSlab slab[Provide]
}

// Package is one name in one architecture. Names without any version exist
// too: they are virtual, or only mentioned.
type Package struct {
	Name  string
	Arch  string // native for architecture-independent packages; "any" for names like "python3:any"
	Index int    // dense, in order of creation in this pool; no meaning outside it

	Versions  []*Version // highest first
	Providers []*Provide // latest index entry first
	Installed *Version   // nil if not installed

	Essential bool
	Important bool // also "Protected"

	number int32 // 1 + number; 0 = not known yet
}

// Version is one version of a package, possibly found in several indexes.
type Version struct {
	Package   *Package
	Control   *control.Package
	Origins   []*control.Origin // indexes that offer it; empty if only installed
	Local     bool              // offered by a file, not by an index
	Provides  []*Provide        // latest first
	MultiArch MultiArch
	Priority  Priority
	Seq       int // position among all versions, in index order

	deps   []Dep
	parsed bool
}

// Provide says that a version stands in for a name.
type Provide struct {
	Owner    *Version
	Target   *Package
	Version  string // "" if unversioned
	Implicit bool   // made by Multi-Arch rules, not by the Provides field
}

// MultiArch is the Multi-Arch field.
type MultiArch uint8

// The values of the Multi-Arch field.
const (
	MultiArchNo MultiArch = iota
	MultiArchSame
	MultiArchForeign
	MultiArchAllowed
)

// Priority is the Priority field in apt's numbering: 1 required, 2 important,
// 3 standard, 4 optional, 5 extra, 0 absent.
type Priority uint8

// The archive's priorities.
const (
	Required  Priority = 1
	Important Priority = 2
	Standard  Priority = 3
	Optional  Priority = 4
	Extra     Priority = 5
)

// New builds a pool. Packages are in index order (all of the first source's
// first index, then the next). Installed ones are added last, as apt does.
func New(native string, foreign []string, packages, installed []*control.Package) *Pool {
	p := &Pool{
		Native: native, Foreign: foreign,
		native: make(map[string]*Package, len(packages)+len(packages)/4),
		groups: map[string][]*Package{},
	}
	p.ordered = append(append(p.ordered, packages...), installed...)
	for _, c := range packages {
		p.add(c, false)
	}
	for _, c := range installed {
		p.add(c, true)
	}
	return p
}

// String is the version as "name=version", with the architecture if foreign.
func (v *Version) String() string { return v.Package.String() + "=" + v.Control.Version }

func parseMultiArch(c *control.Package) MultiArch {
	switch c.MultiArch {
	case "same":
		if c.Architecture != "all" {
			return MultiArchSame
		}
	case "foreign":
		return MultiArchForeign
	case "allowed":
		return MultiArchAllowed
	}
	return MultiArchNo
}

func parsePriority(s string) Priority {
	switch s {
	case "":
		return 0
	case "required":
		return Required
	case "important":
		return Important
	case "standard":
		return Standard
	case "optional":
		return Optional
	}
	if lower := strings.ToLower(s); lower != s {
		return parsePriority(lower)
	}
	return Extra
}

// slab hands out values from larger pieces of memory: an index has hundreds of
// thousands of small things that all live as long as the pool.
type slab[T any] []T

func (s *slab[T]) take() *T {
	if len(*s) == 0 {
		*s = make([]T, 1024)
	}
	v := &(*s)[0]
	*s = (*s)[1:]
	return v
}

// String is the package's name.
func (p *Package) String() string { return p.Name }
