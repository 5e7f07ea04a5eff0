package machine

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// validator looks at what the values mean together.
type validator struct {
	c    *collector
	d    *Definition
	bad  map[string]bool // values that were refused already
	name string          // of the main file
}

// at reports a problem of the value with a dotted path, unless that value was
// refused before.
func (v *validator) at(key, text, message, hint string) {
	if v.bad[key] {
		return
	}
	v.c.add(Problem{Pos: v.d.At(key), Key: key, Text: text, Message: key + ": " + message, Hint: hint})
}

// validate runs all checks.
func (v *validator) validate() {
	v.system()
	v.mirrors()
	v.files()
	v.users()
	v.services()
	v.state()
	v.mounts()
	v.networks()
	v.choices()
	v.binds()
	v.ports()
	v.booting()
	v.netboot()
	v.stock()
	v.probes()
}

// system checks keys whose meaning depends on the distribution.
func (v *validator) system() {
	d := v.d
	if row, known := distributionOf(d.System); known && d.Base != "" && len(row.bases) > 0 && !slices.Contains(row.bases, d.Base) {
		v.at("base", d.Base, fmt.Sprintf("%q is no base set of the %s family", d.Base, row.family),
			orElse(didYouMean(nearest(d.Base, row.bases)), "valid: "+strings.Join(row.bases, ", ")))
	}
	if row, known := distributionOf(d.System); known && row.family != "deb" && len(d.Debconf) > 0 && !d.FromTarball() {
		v.at("debconf", "", fmt.Sprintf("%s has no debconf", d.System), "remove it or put it into a when part")
	}
	for i, p := range d.Packages {
		if (strings.HasSuffix(p, ".deb") || strings.HasSuffix(p, ".apk")) && !IsLocalPackage(p) {
			v.at(fmt.Sprintf("packages.%d", i), p, fmt.Sprintf("%q reads as the name of a package", p), fmt.Sprintf("write %q for the file", "./"+p))
		}
	}
	for i, r := range d.Repositories {
		v.repository(fmt.Sprintf("repositories.%d", i), r)
	}
}

// repository checks what the family needs to know.
func (v *validator) repository(key string, r Repository) {
	if v.d.Family() != "deb" || r.URL == "" {
		return
	}
	flat := strings.HasSuffix(r.Suite, "/")
	switch {
	case r.Suite == "" && !v.bad[key+".suite"]:
		v.at(key, r.URL, "a deb repository needs suite", `for example suite: trixie, or suite: "./" for a flat archive`)
	case !flat && len(r.Components) == 0:
		v.at(key, r.URL, "a deb repository needs components", "for example components: [main]")
	case flat && len(r.Components) > 0:
		v.at(key+".components", r.Suite, "a flat archive (its suite ends with a slash) has no components", "remove them")
	}
}

// mirrors checks mirror and sources.
func (v *validator) mirrors() {
	if v.d.Mirror.None && len(v.d.Repositories) == 0 {
		v.at("mirror", "none", "with none, packages can only come from repositories, and there are none", "add repositories or remove mirror: none")
	}
	if v.d.Sources.None {
		v.at("sources", "none", "the machine's package manager cannot have no sources", "remove the key for the official address")
	}
}

// services checks that something starts what is enabled.
func (v *validator) services() {
	s := v.d.Services
	if v.d.Init == "none" && len(s.Enable)+len(s.Disable) > 0 {
		v.at("services", "", "with init: none nothing starts services", "remove services or give the machine an init")
	}
	for i, name := range s.Disable {
		if slices.Contains(s.Enable, name) {
			v.at(fmt.Sprintf("services.disable.%d", i), name, fmt.Sprintf("%q is enabled as well", name), "")
		}
	}
}

// state checks folders that survive rebuilds.
func (v *validator) state() {
	for i, p := range v.d.State {
		key := fmt.Sprintf("state.%d", i)
		v.insidePath(key, p)
		p = path.Clean(p)
		if p == "/" {
			v.at(key, p, "the whole machine cannot be state", "name the folders whose content is to survive")
			continue
		}
		if top := volatile(p); top != "" {
			v.at(key, p, fmt.Sprintf("%s never survives, for %s is made at every start", p, top), "")
		}
		for j, q := range v.d.State[:i] {
			if q = path.Clean(q); q != "/" && (within(p, q) || within(q, p)) {
				v.at(key, p, fmt.Sprintf("%s and %s (entry %d) contain one another", p, q, j), "keep the outer one")
			}
		}
	}
}

// volatile names the file system of the kernel or of this boot that holds p.
func volatile(p string) string {
	for _, top := range []string{"/proc", "/sys", "/dev", "/run"} {
		if within(p, top) {
			return top
		}
	}
	return ""
}

// within tells whether p is folder or lies below it.
func within(p, folder string) bool {
	return p == folder || strings.HasPrefix(p, strings.TrimSuffix(folder, "/")+"/")
}

// insidePath refuses paths of the machine that climb.
func (v *validator) insidePath(key, p string) {
	if slices.Contains(strings.Split(p, "/"), "..") {
		v.at(key, p, fmt.Sprintf("%s contains ..", quote(p)), "write the path without it")
	}
}

// mounts checks lines of fstab, and that nothing is mounted twice.
func (v *validator) mounts() {
	for i, m := range v.d.Mounts {
		key := fmt.Sprintf("mounts.%d", i)
		v.insidePath(key+".where", m.Where)
		if m.Where == "none" && m.Type != "swap" {
			v.at(key+".where", m.Where, "only swap is mounted nowhere", "give an absolute path")
		}
		for j, o := range v.d.Mounts[:i] {
			if m.Where != "none" && m.Where != "" && path.Clean(m.Where) == path.Clean(o.Where) {
				v.at(key+".where", m.Where, fmt.Sprintf("%s is the mount point of entry %d as well", m.Where, j), "")
			}
		}
		for _, s := range v.d.State {
			if m.Where != "" && path.Clean(m.Where) == path.Clean(s) {
				v.at(key+".where", m.Where, fmt.Sprintf("%s is state as well", m.Where), "state is mounted by slipway: keep one of them")
			}
		}
	}
}

func orElse(text, other string) string {
	if text != "" {
		return text
	}
	return other
}
