package archive

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
)

// Distribution is one that keeps its packages in this layout, as far as they
// differ. This is the one table of default addresses.
type Distribution struct {
	Name     string // first word of `system:`, and folder of the embedded keys
	Title    string // for messages
	Official Mirror
	// Ports is where the architectures are that Official has not; zero: it
	// has all of them.
	Ports Mirror
	// Components are those of a machine that names none: what is free
	// software. A release that lacks one of them is taken as it is.
	Components []string

	primary  []string // architectures of Official; nil: all
	releases []string // known to exist, for messages only: what a mirror has, it has
	rolling  []string // releases without updates and security suites
	// oneBase: a mirror has the security suite beside the others.
	oneBase bool
	// pocketCodename: the further suites carry the release's codename, so that
	// only their Suite field tells them apart.
	pocketCodename bool

	keys func() (*Keyring, error)
}

var (
	// Debian has its security suite in an archive of its own.
	Debian = withKeys(&Distribution{
		Name: "debian", Title: "Debian",
		Official:   Mirror{Main: "http://ftp.debian.org/debian", Security: "http://security.debian.org/debian-security"},
		Components: []string{"main"},
		releases:   []string{"bullseye", "bookworm", "trixie", "forky", "sid"},
		rolling:    []string{"sid", "unstable", "experimental", "rc-buggy"},
	})
	// Ubuntu keeps free software in two components, of which main is what
	// Canonical looks after, and most architectures in a second archive.
	Ubuntu = withKeys(&Distribution{
		Name: "ubuntu", Title: "Ubuntu",
		Official:   Mirror{Main: "http://archive.ubuntu.com/ubuntu", Security: "http://security.ubuntu.com/ubuntu"},
		Ports:      Mirror{Main: "http://ports.ubuntu.com/ubuntu-ports", Security: "http://ports.ubuntu.com/ubuntu-ports"},
		Components: []string{"main", "universe"},
		primary:    []string{"amd64", "i386"},
		releases:   []string{"jammy", "noble"},
		oneBase:    true, pocketCodename: true,
	})
)

// DistributionOf finds a distribution by its name, nil if there is none.
func DistributionOf(name string) *Distribution {
	for _, d := range []*Distribution{Debian, Ubuntu} {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// inPorts tells whether an architecture is in the second archive.
func (d *Distribution) inPorts(arch string) bool {
	return d.Ports.Main != "" && !slices.Contains(d.primary, arch)
}

// Home is the official archive that has an architecture.
func (d *Distribution) Home(arch string) Mirror {
	if d.inPorts(arch) {
		return d.Ports
	}
	return d.Official
}

// Carries tells whether a mirror, by its name, copies the archive that has an
// architecture.
func (d *Distribution) Carries(m Mirror, arch string) bool {
	if d.Ports.Main == "" {
		return true
	}
	ports := path.Base(d.Ports.Main) == path.Base(strings.TrimRight(m.Main, "/"))
	return ports == d.inPorts(arch)
}

// Security lists where a mirror's security suite may be, the likely place
// first. A mirror of one address stands for that address with "-security"
// added too.
func (d *Distribution) Security(m Mirror) []string {
	if m.Security != "" {
		return []string{m.Security}
	}
	main := strings.TrimRight(m.Main, "/")
	if main == d.Official.Main {
		return []string{d.Official.Security}
	}
	if d.oneBase {
		return []string{main, main + "-security"}
	}
	return []string{main + "-security"}
}

// PinTerm is the term of apt_preferences(5) that names one suite.
func (d *Distribution) PinTerm(suite string) string {
	if d.pocketCodename {
		return "a=" + suite
	}
	return "n=" + suite
}

// Rolling tells that a release has no updates and security suites.
func (d *Distribution) Rolling(release string) bool { return slices.Contains(d.rolling, release) }

// Keys returns the embedded keys of the archive.
func (d *Distribution) Keys() (*Keyring, error) { return d.keys() }

// KeyFile returns the embedded keys as one binary keyring, for programs that
// want a file of them.
func (d *Distribution) KeyFile() ([]byte, error) {
	names, err := fs.Glob(embedded, "keys/"+d.Name+"/*.gpg")
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, name := range names {
		data, err := embedded.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, data...)
	}
	return all, nil
}

func withKeys(d *Distribution) *Distribution {
	d.keys = sync.OnceValues(func() (*Keyring, error) {
		ring := &Keyring{name: "the " + d.Title + " archive's keys"}
		data, err := d.KeyFile()
		if err != nil {
			return nil, err
		}
		if err := ring.add(data); err != nil {
			return nil, fmt.Errorf("reading the embedded keys of %s: %w", d.Title, err)
		}
		return ring, nil
	})
	return d
}
