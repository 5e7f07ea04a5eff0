package machine

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// distribution is one row of the table of systems.
type distribution struct {
	name     string
	family   string
	releases bool     // is a release named after a slash
	init     string   // what "auto" stands for
	bases    []string // base sets; the first is the default
	ready    []string // releases that can be built now
	numbers  map[string]string
}

var distributions = []distribution{
	{name: "debian", family: "deb", releases: true, init: "systemd", bases: debBases,
		ready:   []string{"bookworm", "trixie", "forky", "sid"},
		numbers: map[string]string{"12": "bookworm", "13": "trixie", "14": "forky", "unstable": "sid"}},
	{name: "ubuntu", family: "deb", releases: true, init: "systemd", bases: debBases,
		ready:   []string{"jammy", "noble"},
		numbers: map[string]string{"22.04": "jammy", "24.04": "noble"}},
	{name: "alpine", family: "apk", releases: true, init: "openrc", bases: []string{"alpine-base", "minirootfs", "empty"},
		ready: []string{"3.16", "3.17", "3.18", "3.19", "3.20", "3.21", "3.22", "edge"}},
	{name: "arch", family: "pacman", init: "systemd"},
	{name: "alma", family: "rpm", releases: true, init: "systemd"},
	{name: "rocky", family: "rpm", releases: true, init: "systemd"},
	{name: "fedora", family: "rpm", releases: true, init: "systemd"},
	{name: "gentoo", family: "stage3", releases: true, init: "openrc"},
	{name: "linux", family: "tarball"}, // any other, from its root archive
}

// debBases are the base sets of the deb family.
var debBases = []string{"minbase", "essential", "apt", "required", "buildd", "important", "standard"}

// architectures are the known ones by their Debian names.
var architectures = []string{"amd64", "arm64", "armhf", "armel", "i386", "riscv64", "ppc64el", "s390x", "loong64", "mips64el"}

// archAliases are other names of architectures.
var archAliases = map[string]string{
	"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "arm": "armhf", "armv7": "armhf", "armv7l": "armhf",
	"386": "i386", "x86": "i386", "i686": "i386", "ppc64le": "ppc64el", "loongarch64": "loong64", "mips64le": "mips64el",
}

// hostArch is the architecture of this program by its Debian name.
func hostArch() string {
	if name, ok := archAliases[runtime.GOARCH]; ok {
		return name
	}
	return runtime.GOARCH
}

// distributionOf finds the row of a system such as "debian/trixie".
func distributionOf(system string) (distribution, bool) {
	name, _, _ := strings.Cut(system, "/")
	for _, d := range distributions {
		if d.name == name {
			return d, true
		}
	}
	return distribution{}, false
}

// systemPattern is the JSON Schema pattern that accepts what the table accepts.
func systemPattern() string {
	var with, without []string
	for _, d := range distributions {
		if d.releases {
			with = append(with, d.name)
		} else {
			without = append(without, d.name)
		}
	}
	return `^((` + strings.Join(with, "|") + `)/[A-Za-z0-9][A-Za-z0-9._-]*|` + strings.Join(without, "|") + `)$`
}

// Family names how the machine's distribution packages: deb, apk, pacman, rpm
// or stage3; tarball where that does not matter.
func (d *Definition) Family() string {
	row, _ := distributionOf(d.System)
	return row.family
}

// Distribution is the part of System before the slash.
func (d *Definition) Distribution() string {
	name, _, _ := strings.Cut(d.System, "/")
	return name
}

// Release is the part of System after the slash, "" where there is none.
func (d *Definition) Release() string {
	_, release, _ := strings.Cut(d.System, "/")
	return release
}

// InitSystem is Init with auto resolved to the distribution's own.
func (d *Definition) InitSystem() string {
	if d.Init != "" && d.Init != "auto" {
		return d.Init
	}
	row, _ := distributionOf(d.System)
	return row.init
}

// Supported tells whether this version can build the machine's system: a
// definition of a system that comes later loads, and is refused here. The
// error is of type Problems.
func (d *Definition) Supported() error {
	row, ok := distributionOf(d.System)
	if d.FromTarball() {
		return nil // nothing need be known of what is there already
	}
	if ok && slices.Contains(row.ready, d.Release()) {
		return nil
	}
	p := Problem{Pos: d.Set["system"], Key: "system", Text: d.System}
	p.Message = fmt.Sprintf("system %q is not yet supported", d.System)
	p.Hint = "supported now: " + strings.Join(supportedSystems(), ", ")
	if row.family == "tarball" {
		p.Message = fmt.Sprintf("system %q stands for whatever a root archive holds, and there is none", d.System)
		p.Hint = "name the archive with from: {file: ./rootfs.tar.xz}"
	} else if name, ok := row.numbers[d.Release()]; ok {
		p.Hint = fmt.Sprintf("write %s/%s", row.name, name)
	} else if near := nearest(d.System, supportedSystems()); near != "" {
		p.Hint = fmt.Sprintf("did you mean %q? %s", near, p.Hint)
	}
	return Problems{p}
}

// supportedSystems lists what can be built now.
func supportedSystems() []string {
	var out []string
	for _, d := range distributions {
		for _, r := range d.ready {
			out = append(out, d.name+"/"+r)
		}
	}
	return out
}

// NeedsLocales tells whether the machine's locale must be generated.
func (d *Definition) NeedsLocales() bool {
	base, _, _ := strings.Cut(d.Locale, ".")
	return d.Locale != "" && base != "C" && base != "POSIX"
}
