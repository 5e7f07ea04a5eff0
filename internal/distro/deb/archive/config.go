package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"slipway/internal/distro/deb/control"
	"slipway/internal/fetch"
)

// Config says which archive to open. Release, Arch and CacheDir are required.
type Config struct {
	Distribution *Distribution // default: Debian
	Release      string        // "trixie"; also a suite name such as "stable"
	Arch         string        // Debian name of the machine's architecture
	Foreign      []string      // further architectures
	Components   []string      // default: the distribution's

	// Mirrors of the distribution in order of preference; none: the official
	// addresses. The later ones are used when the first fail.
	Mirrors        []Mirror
	Suites         []string // further suites of the distribution, such as trixie-backports
	NoDistribution bool     // only Repositories are used
	Repositories   []Repository

	CacheDir string           // the store's folder for indexes; made if absent
	Fetcher  *fetch.Fetcher   // nil: one for the environment's proxy
	Now      func() time.Time // default: time.Now
	MaxAge   time.Duration    // an index checked less long ago is not asked for again; 0: an hour, negative: always ask
	Offline  bool             // use what is in CacheDir
	KeyFile  string           // OpenPGP keys instead of the embedded ones
}

// Mirror is one transport address of the distribution.
type Mirror struct {
	Main     string
	Security string // default: see Distribution.Security
}

// Repository is a further archive. A Suite that ends in "/" is a flat one.
type Repository struct {
	URL        string
	Suite      string
	Components []string // default: main
	SignedBy   string   // path of its OpenPGP key file; required
	Priority   int      // apt pin priority; 0: what the archive itself asks for
}

// DefaultMaxAge is Config.MaxAge's default.
const DefaultMaxAge = time.Hour

// source is one suite of one archive, as a line of sources.list would be.
type source struct {
	bases      []string // mirrors, with a trailing slash
	suite      string
	components []string
	priority   int
	keyring    *Keyring
	id         string        // of the folder that remembers it
	dist       bool          // belongs to the distribution
	base       bool          // is its base suite
	of         *Distribution // nil: of none
	usual      bool          // its components were not asked for by name
}

func (s *source) where(base string) string { return s.suite + " at " + fetch.Redact(base) }

// mirrors lists the addresses for a message.
func (s *source) mirrors() string {
	var list []string
	for _, base := range s.bases {
		list = append(list, fetch.Redact(base))
	}
	return strings.Join(list, ", ")
}

// flat reports whether the suite is a directory with Packages in it.
func (s *source) flat() bool { return strings.HasSuffix(s.suite, "/") }

// dir is the suite's folder on a mirror, with a trailing slash.
func (s *source) dir(base string) string {
	if s.flat() {
		return base + strings.TrimPrefix(s.suite, "/")
	}
	return base + "dists/" + s.suite + "/"
}

// sources lists what the configuration asks for, in sources.list order.
func (c *Config) sources() ([]*source, error) {
	if !validName(c.Release) && !c.NoDistribution {
		return nil, fmt.Errorf("opening the archive: %q is not the name of a release", c.Release)
	}
	if !validName(c.Arch) || c.CacheDir == "" {
		return nil, errors.New("opening the archive: the architecture or the cache folder is not given")
	}
	var list []*source
	if !c.NoDistribution {
		distribution, err := c.distribution()
		if err != nil {
			return nil, err
		}
		list = distribution
	}
	for _, r := range c.Repositories {
		s, err := r.source()
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, errors.New("opening the archive: mirror: none is given, but no repositories:")
	}
	return list, nil
}

// distribution lists base, updates and security.
func (c *Config) distribution() ([]*source, error) {
	of := c.of()
	keys, err := c.keyring()
	if err != nil {
		return nil, err
	}
	mirrors := c.Mirrors
	if len(mirrors) == 0 {
		mirrors = []Mirror{of.Home(c.Arch)}
	}
	var main, security []string
	for _, m := range mirrors {
		main = append(main, slash(m.Main))
		for _, base := range of.Security(m) {
			security = append(security, slash(base))
		}
	}
	components := c.Components
	if len(components) == 0 {
		components = of.Components
	}
	place := of.Name
	if of.inPorts(c.Arch) { // it lags behind the other, or is ahead of it
		place += "-ports"
	}
	add := func(suite string, bases []string) *source {
		return &source{bases: bases, suite: suite, components: components, keyring: keys, id: place + "_" + suite,
			dist: true, base: suite == c.Release, of: of, usual: len(c.Components) == 0}
	}
	list := []*source{add(c.Release, main)}
	if !of.Rolling(c.Release) {
		list = append(list, add(c.Release+"-updates", main), add(c.Release+"-security", security))
	}
	for _, suite := range c.Suites {
		if !validName(suite) {
			return nil, fmt.Errorf("opening the archive: %q is not the name of a suite", suite)
		}
		list = append(list, add(suite, main))
	}
	return list, nil
}

func (c *Config) of() *Distribution {
	if c.Distribution == nil {
		return Debian
	}
	return c.Distribution
}

func (c *Config) keyring() (*Keyring, error) {
	if c.KeyFile != "" {
		return ReadKeyring(c.KeyFile)
	}
	return c.of().Keys()
}

func (r Repository) source() (*source, error) {
	if r.SignedBy == "" {
		return nil, fmt.Errorf("opening the repository %s: it has no signed_by:; name the file with its OpenPGP key", fetch.Redact(r.URL))
	}
	if r.URL == "" || r.Suite == "" {
		return nil, errors.New("opening a repository: url or suite is missing")
	}
	if !validSuite(r.Suite) {
		return nil, fmt.Errorf("opening the repository %s: %q is not the name of a suite", fetch.Redact(r.URL), r.Suite)
	}
	keys, err := ReadKeyring(r.SignedBy)
	if err != nil {
		return nil, err
	}
	components := r.Components
	if len(components) == 0 {
		components = []string{"main"}
	}
	id := sha256.Sum256([]byte(slash(r.URL) + " " + r.Suite))
	return &source{bases: []string{slash(r.URL)}, suite: r.Suite, components: components, priority: r.Priority, keyring: keys,
		id: "other_" + hex.EncodeToString(id[:12])}, nil
}

func slash(base string) string { return strings.TrimRight(base, "/") + "/" }

// validName holds for names that may become part of a path.
func validName(s string) bool {
	return s != "" && s[0] != '.' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_~+") == ""
}

// validSuite also allows "name/updates" and the flat "./".
func validSuite(s string) bool {
	if s == "/" || s == "./" {
		return true
	}
	for _, part := range strings.Split(strings.Trim(s, "/"), "/") {
		if part != "." && !validName(part) {
			return false
		}
	}
	return true
}

func (c *Config) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Config) maxAge() time.Duration {
	if c.MaxAge == 0 {
		return DefaultMaxAge
	}
	return c.MaxAge
}

func (c *Config) fetcher() *fetch.Fetcher {
	if c.Fetcher != nil {
		return c.Fetcher
	}
	return &fetch.Fetcher{}
}

// archs is what indexes are read for, the native architecture first.
func (c *Config) archs() []string { return append([]string{c.Arch}, c.Foreign...) }

// compactPath is where the compact form of a Packages file lies.
func (c *Config) compactPath(digest string) string {
	return filepath.Join(c.CacheDir, "packages", digest+".idx")
}

// originOf describes an index to the resolver.
func originOf(s *source, r *verified, component, arch string, order int) *control.Origin {
	priority := r.release.priority()
	if s.priority != 0 {
		priority = s.priority
	}
	return &control.Origin{
		Base: r.base, Suite: s.suite, Archive: r.release.suite, Codename: r.release.codename, Label: r.release.label,
		OriginID: r.release.origin, Component: component, Arch: arch, Priority: priority, Date: r.release.date.Unix(), Order: order,
	}
}
