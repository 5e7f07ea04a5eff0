// Package archive opens Alpine repositories: it fetches their signed indexes,
// verifies them, refuses ones older than what was seen before, and keeps them
// in the store, so that for an hour no network is needed.
//
// An index vouches for each package by the SHA-1 of its control, and the
// control for the data by a SHA-256 (package apkfile). The package resolves and
// downloads nothing else.
package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/internal/distro/apk/apkfile"
	"slipway/internal/distro/apk/index"
	"slipway/internal/fetch"
)

// Source is one repository: a folder of which ARCH/APKINDEX.tar.gz is the index.
type Source struct {
	Base     string // address to fetch from
	Official string // address that locks name; the same for every host
	Name     string // for people: "main of alpine 3.19"
	Tag      string // "" for the untagged
	Keys     apkfile.Keys
	Optional bool // that it is not there is a note
}

// Config says what to open.
type Config struct {
	Sources  []Source
	Arch     string // Alpine's name
	CacheDir string
	Fetcher  *fetch.Fetcher
	MaxAge   time.Duration // an index checked less long ago is not asked for again; 0: an hour, negative: always ask
	Offline  bool
	Now      func() time.Time // nil: the clock
}

// Repository is an opened source.
type Repository struct {
	Source
	Date        time.Time
	SHA256      string // of the index as it was fetched
	Key         string
	Description string
}

// Archive is what all sources together offer.
type Archive struct {
	Packages     []*index.Package // in the order of Repositories
	Repositories []Repository
	Date         time.Time
	Notes        []string
}

// DefaultMaxAge is Config.MaxAge's default.
const DefaultMaxAge = time.Hour

func (c *Config) maxAge() time.Duration {
	if c.MaxAge == 0 {
		return DefaultMaxAge
	}
	return c.MaxAge
}

func (c *Config) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// old is the age after which a person is told that updates are missing.
const old = 90 * 24 * time.Hour

// Open verifies and reads all indexes.
func Open(ctx context.Context, c Config) (*Archive, error) {
	got := make([]*opened, len(c.Sources))
	var group errgroup.Group
	for i := range c.Sources {
		group.Go(func() (err error) {
			got[i], err = c.open(ctx, &c.Sources[i])
			if c.Sources[i].Optional && errors.Is(err, ErrMissing) {
				got[i], err = &opened{notes: []string{fmt.Sprintf("%s is not at %s; its packages are not on offer", c.Sources[i].Name, c.Sources[i].Base)}}, nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	a := &Archive{}
	for i, o := range got {
		a.Notes = append(a.Notes, o.notes...)
		if o.index == nil {
			continue
		}
		a.add(c.Sources[i], o)
	}
	if age := c.now().Sub(a.Date); len(a.Repositories) > 0 && age > old {
		a.Notes = append(a.Notes, fmt.Sprintf("the newest package is %d days old: a release that has ended gets no security updates, and a mirror may be behind", int(age.Hours()/24)))
	}
	return a, nil
}

func (a *Archive) add(s Source, o *opened) {
	number := len(a.Repositories)
	for _, p := range o.index.Packages {
		p.Repository = number
	}
	a.Packages = append(a.Packages, o.index.Packages...)
	a.Repositories = append(a.Repositories, Repository{Source: s, Date: o.index.Date, SHA256: o.sum, Key: o.index.Key, Description: o.index.Description})
	if o.index.Date.After(a.Date) {
		a.Date = o.index.Date
	}
	if o.index.Skipped > 0 {
		a.Notes = append(a.Notes, fmt.Sprintf("%s has %d packages of a newer format, which are passed over", s.Name, o.index.Skipped))
	}
}
