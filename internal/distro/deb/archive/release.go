package archive

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/distro/deb/control"
)

// release is a parsed Release file (https://wiki.debian.org/DebianRepository/Format).
type release struct {
	origin, label, suite, codename string
	date, validUntil               time.Time // validUntil is zero if there is none
	byHash                         bool
	noArchAll                      bool // arch:all packages are in each architecture's index
	notAutomatic, butUpgrades      bool
	archs, components              []string
	files                          map[string]listed
}

// listed is one file that the Release vouches for.
type listed struct {
	size           int64
	sha256, sha512 string // hex; one may be empty
}

// maxFiles bounds the list; Debian's longest has some 3,000.
const maxFiles = 1 << 17

// parseRelease reads a Release text whose signature was checked.
func parseRelease(text []byte) (*release, error) {
	reader := control.NewReader(bytes.NewReader(text))
	par, err := reader.Next()
	if err == io.EOF {
		return nil, errors.New("reading the Release file: it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the Release file: %w", err)
	}
	r := &release{
		origin: par.Get("Origin"), label: par.Get("Label"), suite: par.Get("Suite"), codename: par.Get("Codename"),
		byHash:       par.Get("Acquire-By-Hash") == "yes",
		noArchAll:    slices.Contains(strings.Fields(par.Get("No-Support-for-Architecture-all")), "Packages"),
		notAutomatic: par.Get("NotAutomatic") == "yes",
		butUpgrades:  par.Get("ButAutomaticUpgrades") == "yes",
		archs:        strings.Fields(par.Get("Architectures")),
		components:   strings.Fields(par.Get("Components")),
		files:        map[string]listed{},
	}
	if r.date, err = parseDate(par.Get("Date")); err != nil {
		return nil, fmt.Errorf("reading the Release file: Date: %w", err)
	}
	if until := par.Get("Valid-Until"); until != "" {
		if r.validUntil, err = parseDate(until); err != nil {
			return nil, fmt.Errorf("reading the Release file: Valid-Until: %w", err)
		}
	}
	if err := r.list(par.Bytes("SHA256"), 32, func(l *listed, d string) { l.sha256 = d }); err != nil {
		return nil, fmt.Errorf("reading the Release file: SHA256: %w", err)
	}
	if err := r.list(par.Bytes("SHA512"), 64, func(l *listed, d string) { l.sha512 = d }); err != nil {
		return nil, fmt.Errorf("reading the Release file: SHA512: %w", err)
	}
	if len(r.files) == 0 && (par.Has("MD5Sum") || par.Has("SHA1")) {
		return nil, &kindError{ErrWeak, "the Release file has only MD5 or SHA-1 digests, which anybody can forge; the archive must add SHA256"}
	}
	return r, nil
}

// parseDate reads a date in UTC, with the spellings of that zone in use.
func parseDate(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC1123, time.RFC1123Z, "Mon, _2 Jan 2006 15:04:05 MST", "Mon, _2 Jan 2006 15:04:05 -0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			if _, offset := t.Zone(); offset == 0 {
				return t.UTC(), nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("%.60q is not a date in UTC", s)
}

// list reads lines of digest, size and path.
func (r *release) list(value []byte, length int, set func(*listed, string)) error {
	for line := range bytes.Lines(value) {
		fields := bytes.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 {
			return fmt.Errorf("%.80q is not a digest, a size and a path", line)
		}
		digest := strings.ToLower(string(fields[0]))
		size, err := strconv.ParseInt(string(fields[1]), 10, 64)
		if raw, bad := hex.DecodeString(digest); bad != nil || len(raw) != length || err != nil || size < 0 {
			return fmt.Errorf("%.80q is not a digest, a size and a path", line)
		}
		path := string(fields[2])
		l, again := r.files[path]
		if again && l.size != size {
			return fmt.Errorf("%s has two sizes", path)
		}
		if !again && len(r.files) == maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		l.size = size
		set(&l, digest)
		r.files[path] = l
	}
	return nil
}

// priority is apt's pin priority for the archive (apt_preferences(5)).
func (r *release) priority() int {
	switch {
	case r.notAutomatic && r.butUpgrades:
		return 100
	case r.notAutomatic:
		return 1
	}
	return 500
}

// clockTolerance is how far in the future an index may be dated.
const clockTolerance = 24 * time.Hour

// check says whether the release is the one asked for and current. where
// names suite and address.
func (r *release) check(where, asked string, now time.Time) error {
	if asked != r.suite && asked != r.codename && !strings.HasSuffix(asked, "/") {
		return &kindError{ErrMismatch, fmt.Sprintf("checking %s: it is the index of %s (codename %s), not of %s; the mirror is set up wrongly", where, r.suite, r.codename, asked)}
	}
	if r.date.After(now.Add(clockTolerance)) {
		return &kindError{ErrClock, fmt.Sprintf("checking %s: its date is %s, but this host's clock says %s: set the clock", where, day(r.date), day(now))}
	}
	if !r.validUntil.IsZero() && now.After(r.validUntil) {
		return &kindError{ErrExpired, fmt.Sprintf("checking %s: it was valid until %s, and this host's clock says %s; "+
			"the mirror is no longer updated (use another one with mirror:), or the clock is wrong", where, day(r.validUntil), day(now))}
	}
	return nil
}
