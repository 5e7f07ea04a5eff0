package solve

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/solve/pool"
	"slipway/internal/distro/deb/version"
)

// Pin is one record of apt_preferences(5).
type Pin struct {
	Package  string // names, globs or /regular expressions/, separated by spaces; "*" for all; "src:NAME"
	Pin      string // "release a=stable,n=trixie", "version 1.2*", "origin deb.example.org"
	Priority int
}

// policy decides which version of a package an installation would take.
type policy struct {
	pins    []Pin
	named   map[string][]int // positions of pins for one plain name
	general []int            // positions of the other pins, but for those of whole indexes
	suites  map[*control.Origin]int
}

func newPolicy(pins []Pin) *policy {
	p := &policy{pins: pins, named: map[string][]int{}, suites: map[*control.Origin]int{}}
	for i, pin := range pins {
		switch {
		case pin.Package == "*":
		case strings.ContainsAny(pin.Package, "*?[/: \t\n"):
			p.general = append(p.general, i)
		default:
			p.named[pin.Package] = append(p.named[pin.Package], i)
		}
	}
	return p
}

// candidate is the version with the highest priority; of equal ones the
// highest version. Installed versions are only left for a lower one at
// priority 1000 and above.
func (p *policy) candidate(pkg *pool.Package) *pool.Version {
	var best *pool.Version
	bestPriority := -1
	for _, v := range pkg.Versions {
		pr := p.priority(v)
		if pr == 0 || pr <= bestPriority {
			continue
		}
		if pkg.Installed != nil && pr < 1000 && version.Compare(v.Control.Version, pkg.Installed.Control.Version) < 0 {
			continue
		}
		best, bestPriority = v, pr
	}
	return best
}

// priority is apt's pin priority of a version.
func (p *policy) priority(v *pool.Version) int {
	if pin, ok := p.first(v); ok {
		return pin.Priority
	}
	best := -1
	if v.Package.Installed == v {
		best = 100
	}
	if v.Local {
		best = max(best, 500)
	}
	for _, o := range v.Origins {
		best = max(best, p.originPriority(o))
	}
	return best
}

// first is the first pin that names the version.
func (p *policy) first(v *pool.Version) (pin Pin, ok bool) {
	at := len(p.pins)
	for _, list := range [][]int{p.named[v.Package.Name], p.general} {
		for _, i := range list {
			if i < at && p.pins[i].names(v) && p.pins[i].matchesVersion(v) {
				at = i
				break
			}
		}
	}
	if at == len(p.pins) {
		return Pin{}, false
	}
	return p.pins[at], true
}

// originPriority is the priority of one index.
func (p *policy) originPriority(o *control.Origin) int {
	if pr, ok := p.suites[o]; ok {
		return pr
	}
	pr := o.Priority
	for _, pin := range p.pins {
		if pin.Package == "*" && pin.matchesOrigin(o) {
			pr = pin.Priority
			break
		}
	}
	p.suites[o] = pr
	return pr
}

func (p Pin) names(v *pool.Version) bool {
	for _, pattern := range strings.Fields(p.Package) {
		name := v.Package.Name
		if rest, ok := strings.CutPrefix(pattern, "src:"); ok {
			pattern, name = rest, v.Control.Source
		}
		pattern, qualifier := cutArch(pattern)
		if qualifier != "" && qualifier != "any" && qualifier != v.Package.Arch && qualifier != "native" {
			continue
		}
		if matchText(pattern, name) {
			return true
		}
	}
	return false
}

func cutArch(name string) (base, arch string) {
	base, arch, _ = strings.Cut(name, ":")
	return base, arch
}

// matchText compares by glob, or by regular expression between slashes.
func matchText(pattern, text string) bool {
	if len(pattern) > 1 && pattern[0] == '/' && strings.HasSuffix(pattern, "/") {
		re, err := regexp.Compile("(?i)" + pattern[1:len(pattern)-1])
		return err == nil && re.MatchString(text)
	}
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x01"), strings.ReplaceAll(text, "/", "\x01"))
	return pattern == text || err == nil && ok
}

func (p Pin) matchesVersion(v *pool.Version) bool {
	kind, data, _ := strings.Cut(strings.TrimSpace(p.Pin), " ")
	data = strings.TrimSpace(data)
	switch strings.ToLower(kind) {
	case "version":
		return matchText(data, v.Control.Version)
	case "source-version":
		return matchText(data, sourceVersion(v.Control.Version))
	}
	for _, o := range v.Origins {
		if p.matchesOrigin(o) {
			return true
		}
	}
	return false
}

func (p Pin) matchesOrigin(o *control.Origin) bool {
	kind, data, _ := strings.Cut(strings.TrimSpace(p.Pin), " ")
	data = strings.TrimSpace(data)
	switch strings.ToLower(kind) {
	case "origin":
		return matchText(strings.Trim(data, `"`), host(o.Base))
	case "release":
		return matchesRelease(data, o)
	}
	return false
}

// matchesRelease reads "a=stable, n=trixie" or a bare suite name or version.
func matchesRelease(data string, o *control.Origin) bool {
	if data == "" {
		return false
	}
	if !strings.Contains(data, "=") {
		return data == "*" || matchText(data, o.Archive) || matchText(data, o.Codename)
	}
	for _, term := range strings.Split(data, ",") {
		key, want, _ := strings.Cut(strings.TrimSpace(term), "=")
		have, known := map[string]string{
			"a": o.Archive, "n": o.Codename, "o": o.OriginID, "l": o.Label, "c": o.Component, "b": o.Arch,
		}[key]
		if !known || !matchText(want, have) {
			return false
		}
	}
	return true
}

func host(base string) string {
	_, rest, ok := strings.Cut(base, "://")
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "/")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	rest, _, _ = strings.Cut(rest, ":")
	return rest
}

// suiteMatches tells whether an index belongs to a suite as a person names it.
func suiteMatches(o *control.Origin, suite string) bool {
	return suite == o.Suite || suite == o.Archive || suite == o.Codename
}

// behaviour holds what differs between releases of apt.
type behaviour struct {
	skipDoomed               bool // dependants about to be removed are not upgraded
	preferInstalledProviders bool // new providers are not kept if an installed one will do
	keepAfterTry             bool // a package saved by installing a target is kept
}

// behaviourOf knows apt by its version: 2.6 is bookworm's, 3.0 trixie's.
func behaviourOf(apt string) behaviour {
	major, rest, _ := strings.Cut(apt, ".")
	minor, _, _ := strings.Cut(rest, ".")
	m, _ := strconv.Atoi(major)
	n, _ := strconv.Atoi(minor)
	modern := m > 2 || m == 2 && n >= 9 || apt == ""
	return behaviour{skipDoomed: modern, preferInstalledProviders: modern, keepAfterTry: modern}
}
