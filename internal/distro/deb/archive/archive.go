// Package archive opens a Debian archive: it verifies the signed release
// files of the base, updates and security suites (and of further
// repositories), and reads the package lists they vouch for.
//
// Verified lists are kept in the store in a compact form (compact.go), so
// that opening an archive again costs milliseconds and, while they are
// fresh, no network. The package does not resolve and does not download
// packages; Item tells how to.
//
//	a, err := archive.Open(ctx, archive.Config{Release: "trixie", Arch: "amd64", CacheDir: dir})
//	for _, p := range a.Packages { ... }
//
// The formats are described at https://wiki.debian.org/DebianRepository/Format.
package archive

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/internal/distro/deb/control"
	"slipway/internal/fetch"
)

// Archive is what all suites together offer.
type Archive struct {
	// Packages holds every version in every index: suites in the order of
	// sources.list, then components, then architectures, then index order.
	// The packages must not be changed.
	Packages []*control.Package
	Releases []Release // one per suite
	Indexes  []Index   // one per package list
	Date     time.Time // newest Date of all releases
	Notes    []string  // what a person should know: a silent mirror, an old index

	mirrors map[*control.Origin][]string // other bases of the origin's suite
}

// Release is a verified release file.
type Release struct {
	Suite      string // as asked for
	Base       string // address of the mirror, with a trailing slash, without credentials
	URL        string // of the file
	SHA256     string // of the file
	Codename   string
	Archive    string // its Suite field
	Date       time.Time
	ValidUntil time.Time // zero: for ever
	SignedBy   []string  // fingerprints of the primary keys of the good signatures
	Cached     bool      // taken from the store without asking a mirror
}

// Index is a package list that a Release vouches for.
type Index struct {
	Suite     string
	Component string
	Arch      string
	URL       string
	Size      int64  // bytes of the file as fetched
	SHA256    string // of the file as fetched; empty if only SHA-512 is known
	Packages  int
}

// Open verifies and reads the archive. Errors wrap the sentinels of this
// package, or are of package fetch.
func Open(ctx context.Context, c Config) (*Archive, error) {
	sources, err := c.sources()
	if err != nil {
		return nil, err
	}
	if err := c.makeFolders(); err != nil {
		return nil, err
	}
	suites, err := c.openSuites(ctx, sources)
	if err != nil {
		return nil, err
	}
	lists, err := c.listIndexes(sources, suites)
	if err != nil {
		return nil, err
	}
	if err := c.readIndexes(ctx, lists); err != nil {
		return nil, err
	}
	return assemble(sources, suites, lists), nil
}

// makeFolders creates the cache's folders; a read-only store may have them.
func (c *Config) makeFolders() error {
	for _, name := range []string{"suites", "packages", "partial"} {
		if err := os.MkdirAll(filepath.Join(c.CacheDir, name), 0o755); err != nil && !readOnly(err) {
			return fmt.Errorf("opening the archive: making the store's folder for indexes: %w", err)
		}
	}
	return nil
}

// openSuites finds all release files at the same time. All problems are
// reported together.
func (c *Config) openSuites(ctx context.Context, sources []*source) ([]*verified, error) {
	suites, problems := make([]*verified, len(sources)), make([]error, len(sources))
	var running sync.WaitGroup
	for i, s := range sources {
		running.Go(func() { suites[i], problems[i] = c.suite(ctx, s) })
	}
	running.Wait()
	// A release that does not exist has no updates either: say it once.
	if len(problems) > 0 && sources[0].base && errors.Is(problems[0], ErrNoRelease) {
		return nil, problems[0]
	}
	return suites, errors.Join(problems...)
}

func (c *Config) listIndexes(sources []*source, suites []*verified) ([]*index, error) {
	var lists []*index
	for i, s := range sources {
		more, err := c.indexes(s, suites[i])
		if err != nil {
			return nil, err
		}
		lists = append(lists, more...)
	}
	for order, x := range lists {
		x.origin = originOf(x.source, x.from, x.component, x.arch, order)
	}
	return lists, nil
}

// readIndexes reads the compact lists, first making those that are absent or
// damaged.
func (c *Config) readIndexes(ctx context.Context, lists []*index) error {
	var missing []*index
	var mu sync.Mutex
	var group errgroup.Group
	for _, x := range lists {
		group.Go(func() error {
			var err error
			if x.packages, err = readCompact(c.compactPath(x.key()), x.origin); err != nil {
				mu.Lock()
				defer mu.Unlock()
				missing = append(missing, x)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil || len(missing) == 0 {
		return err
	}
	return c.fetchIndexes(ctx, missing)
}

// fetchIndexes fetches lists and makes and reads their compact forms.
func (c *Config) fetchIndexes(ctx context.Context, missing []*index) error {
	if c.Offline {
		return &kindError{ErrOffline, fmt.Sprintf("opening %s: a package list is not in the store, and the network is not to be used; run it once with the network", missing[0].source.suite)}
	}
	once := distinct(missing)
	items := make([]fetch.Item, len(once))
	for i, x := range once {
		items[i] = x.item(c)
	}
	f := c.fetcher().Clone()
	var one sync.Mutex // parsing is bound by memory: one list at a time
	f.Verified = func(i int) error {
		one.Lock()
		defer one.Unlock()
		defer os.Remove(items[i].Dest)
		return once[i].compact(ctx, c, items[i].Dest)
	}
	if err := f.Fetch(ctx, items); err != nil {
		return indexGone(missing, err)
	}
	for _, x := range missing {
		var err error
		if x.packages, err = readCompact(c.compactPath(x.key()), x.origin); err != nil {
			return fmt.Errorf("reading the package list just made: %w", err)
		}
	}
	return nil
}

// distinct leaves out lists of the same content: empty ones are all alike.
func distinct(lists []*index) []*index {
	met := map[string]bool{}
	var out []*index
	for _, x := range lists {
		if !met[x.key()] {
			met[x.key()] = true
			out = append(out, x)
		}
	}
	return out
}

// indexGone explains a list that a mirror no longer has when the release
// file was newer than the mirror's own.
func indexGone(missing []*index, err error) error {
	for _, x := range missing {
		if x.from.cached && len(x.from.notes) > 0 && fetch.NotFound(err) {
			return &kindError{ErrRollback, fmt.Sprintf("opening %s: %s, but its package lists are not in the store and the mirror no longer has them; use another mirror, or wait until this one is updated (%v)",
				x.source.suite, x.from.notes[0], err)}
		}
	}
	return err
}

// assemble makes the Archive.
func assemble(sources []*source, suites []*verified, lists []*index) *Archive {
	a := &Archive{mirrors: map[*control.Origin][]string{}}
	for i, v := range suites {
		a.addRelease(sources[i], v)
	}
	total := 0
	for _, x := range lists {
		total += len(x.packages)
	}
	a.Packages = make([]*control.Package, 0, total)
	for _, x := range lists {
		for i := range x.packages {
			a.Packages = append(a.Packages, &x.packages[i])
		}
		a.mirrors[x.origin] = x.source.bases
		a.Indexes = append(a.Indexes, Index{
			Suite: x.source.suite, Component: x.component, Arch: x.arch, URL: fetch.Redact(x.source.dir(x.from.base) + x.path),
			Size: x.file.size, SHA256: x.file.sha256, Packages: len(x.packages),
		})
	}
	return a
}

func (a *Archive) addRelease(s *source, v *verified) {
	name := "InRelease"
	if v.detach != nil {
		name = "Release"
	}
	a.Releases = append(a.Releases, Release{
		Suite: s.suite, Base: fetch.Redact(v.base), URL: fetch.Redact(s.dir(v.base) + name), SHA256: v.digest(), Codename: v.release.codename, Archive: v.release.suite,
		Date: v.release.date, ValidUntil: v.release.validUntil, SignedBy: v.signers, Cached: v.cached,
	})
	a.Notes = append(a.Notes, v.notes...)
	if v.release.date.After(a.Date) {
		a.Date = v.release.date
	}
}

// Item says how to fetch a package of the archive; the caller sets Dest. The
// first address is the mirror of its index, the others are fall-backs.
func (a *Archive) Item(p *control.Package) fetch.Item {
	it := fetch.Item{Name: fmt.Sprintf("%s %s (%s)", p.Name, p.Version, p.Architecture), Size: p.Size, SHA256: p.SHA256}
	if p.Origin == nil {
		it.URLs = []string{"file://" + escape(p.Filename)}
		return it
	}
	path := escape(strings.TrimPrefix(p.Filename, "./"))
	it.URLs = append(it.URLs, p.Origin.Base+path)
	for _, base := range a.mirrors[p.Origin] {
		if base != p.Origin.Base {
			it.URLs = append(it.URLs, base+path)
		}
	}
	return it
}

// escape makes a path part of an address.
func escape(path string) string { return (&url.URL{Path: path}).EscapedPath() }
