// Package control reads Debian control data: deb822 paragraphs and
// relationship fields (deb-control(5), deb822(5), Debian policy chapter 7).
package control

// Package is one binary package version as an index (or a .deb's control
// file) describes it. Relationship fields are kept as written and parsed on
// demand, because an archive has some 70,000 packages and a machine needs few.
type Package struct {
	Name          string
	Version       string
	Architecture  string // "amd64", "all", ...
	Source        string // source package name, without version
	MultiArch     string // "", "same", "foreign", "allowed", "no"
	Essential     bool
	Protected     bool // also "Important: yes"
	Priority      string
	Section       string
	InstalledSize int64 // KiB, as declared

	Depends    string
	PreDepends string
	Recommends string
	Suggests   string
	Conflicts  string
	Breaks     string
	Replaces   string
	Provides   string
	Enhances   string

	Filename string // relative to the archive's base address, or an absolute path of a local .deb
	Size     int64  // bytes of the .deb
	SHA256   string // lower-case hex

	Origin *Origin // where it comes from; nil for a local file
}

// Origin is one index (suite, component, architecture) of one archive.
type Origin struct {
	Base      string // address the index was fetched from, without "dists/"
	Suite     string // as asked for: "trixie", "trixie-security"
	Archive   string // Release field Suite: "stable"
	Codename  string // Release field Codename
	Label     string // Release field Label
	OriginID  string // Release field Origin: "Debian"
	Component string
	Arch      string
	Priority  int   // apt pin priority of this origin: 500, 100 for NotAutomatic+ButAutomaticUpgrades, 1 for NotAutomatic
	Date      int64 // Release field Date, seconds since the epoch
	Order     int   // position of the index among all indexes (sources order)
}

// ID is "name:arch=version", unique within an archive.
func (p *Package) ID() string { return p.Name + ":" + p.Architecture + "=" + p.Version }
