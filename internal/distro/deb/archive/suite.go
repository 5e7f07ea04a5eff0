package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway/internal/fetch"
)

// maxRelease bounds an InRelease or Release file, in bytes. Debian's largest
// has some 200 KiB.
const maxRelease = 8 << 20

// verified is a Release file whose signature, name and dates are right.
type verified struct {
	release *release
	base    string   // the mirror that it came from or is to be used with
	raw     []byte   // InRelease, or Release
	detach  []byte   // Release.gpg, if raw is Release
	signers []string // fingerprints
	cached  bool     // from the store, not asked for now
	notes   []string

	condition fetch.Condition // of the answer that brought raw
}

func (v *verified) digest() string {
	d := sha256.Sum256(v.raw)
	return hex.EncodeToString(d[:])
}

// memory is what the store remembers of a suite. Date outlives the files
// beside it: it is what detects a rollback.
type memory struct {
	Base    string    // mirror that gave the files
	Checked time.Time // when that mirror last confirmed them
	Date    time.Time // newest Date ever accepted
	SHA256  string    // of the file, to which the Condition belongs
	fetch.Condition
}

// suiteStore is the folder of one suite: memory.json, InRelease or Release
// and Release.gpg.
type suiteStore struct{ dir string }

func (c *Config) suiteStore(s *source) suiteStore {
	return suiteStore{filepath.Join(c.CacheDir, "suites", s.id)}
}

// load returns the memory, zero if there is none.
func (d suiteStore) load() (memory, error) {
	var m memory
	data, err := os.ReadFile(filepath.Join(d.dir, "memory.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("reading what the store remembers of an index: %w", err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return memory{}, nil // damaged: it is made anew
	}
	return m, nil
}

// open verifies the files in the store again, as if a mirror had given them.
func (d suiteStore) open(s *source, now time.Time) (*verified, error) {
	v := &verified{cached: true}
	var err error
	if v.raw, err = os.ReadFile(filepath.Join(d.dir, "InRelease")); errors.Is(err, fs.ErrNotExist) {
		if v.raw, err = os.ReadFile(filepath.Join(d.dir, "Release")); err == nil {
			v.detach, err = os.ReadFile(filepath.Join(d.dir, "Release.gpg"))
		}
	}
	if err != nil {
		return nil, err
	}
	return v, v.verify(s, "the store's copy of "+s.suite, now)
}

// verify checks signature, then content.
func (v *verified) verify(s *source, where string, now time.Time) error {
	text, err := v.raw, error(nil)
	if v.detach != nil {
		v.signers, err = s.keyring.openDetached(v.raw, v.detach, now)
	} else {
		text, v.signers, err = s.keyring.openClearsigned(v.raw, now)
	}
	if err != nil {
		return fmt.Errorf("verifying %s: %w%s", where, err, signatureHint(s, err))
	}
	if v.release, err = parseRelease(text); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return v.release.check(where, s.suite, now)
}

func signatureHint(s *source, err error) string {
	switch {
	case !errors.Is(err, ErrSignature):
		return ""
	case s.dist:
		return "; something between here and the archive (a proxy, a login page, the mirror) changed it, or slipway is older than the archive's keys"
	}
	return "; check signed_by: of this repository"
}

// save stores the files of v and the memory.
func (d suiteStore) save(v *verified, m memory) error {
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	files := map[string][]byte{"InRelease": v.raw}
	if v.detach != nil {
		files = map[string][]byte{"Release": v.raw, "Release.gpg": v.detach}
		os.Remove(filepath.Join(d.dir, "InRelease"))
	}
	for name, data := range files {
		if err := writeFile(filepath.Join(d.dir, name), data); err != nil {
			return err
		}
	}
	return d.remember(m)
}

func (d suiteStore) remember(m memory) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	return writeFile(filepath.Join(d.dir, "memory.json"), append(data, '\n'))
}

// writeFile replaces a file atomically.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// suite finds the Release file to use for a source: the store's if it is
// fresh, else a mirror's, else the store's again if the mirrors are silent
// or behind.
func (c *Config) suite(ctx context.Context, s *source) (*verified, error) {
	now, store := c.now(), c.suiteStore(s)
	m, err := store.load()
	if err != nil {
		return nil, err
	}
	cached, cachedErr := store.open(s, now)
	if cachedErr == nil {
		cached.base = preferred(s, m.Base)
		age := now.Sub(m.Checked)
		if c.Offline || age >= 0 && age < c.maxAge() {
			return cached, nil
		}
	} else {
		cached = nil
	}
	if c.Offline {
		return nil, offlineError(s, cachedErr)
	}
	v, err := c.askMirrors(ctx, s, m, cached)
	if err == nil && !v.cached {
		m = memory{Base: v.base, Checked: now, Date: v.release.date, SHA256: v.digest(), Condition: v.condition}
		if saveErr := store.save(v, m); saveErr != nil && !readOnly(saveErr) {
			return nil, fmt.Errorf("storing the index of %s: %w", s.suite, saveErr)
		}
	}
	return v, err
}

func offlineError(s *source, cause error) error {
	if errors.Is(cause, fs.ErrNotExist) {
		return &kindError{ErrOffline, fmt.Sprintf("opening %s: its index is not in the store, and the network is not to be used; run it once with the network", s.suite)}
	}
	return cause
}

// preferred keeps the mirror that gave an index if it is still configured.
func preferred(s *source, base string) string {
	for _, b := range s.bases {
		if b == base {
			return b
		}
	}
	return s.bases[0]
}

// askMirrors asks one mirror after the other.
func (c *Config) askMirrors(ctx context.Context, s *source, m memory, cached *verified) (*verified, error) {
	var problems []error
	var stale *verified
	for _, base := range s.bases {
		v, err := c.ask(ctx, s, base, m, cached)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if v.release.date.Before(m.Date) {
			stale = v
			problems = append(problems, rollback(s, v, m))
			continue
		}
		if v.cached { // confirmed
			m.Checked, m.Base = c.now(), base
			if err := c.suiteStore(s).remember(m); err != nil && !readOnly(err) {
				return nil, err
			}
		}
		v.base = base
		return v, nil
	}
	return c.fallBack(s, m, cached, stale, problems)
}

// fallBack decides what to do when no mirror gave a current index.
func (c *Config) fallBack(s *source, m memory, cached, stale *verified, problems []error) (*verified, error) {
	all := errors.Join(problems...)
	missing := true
	silent := true
	for _, err := range problems {
		missing = missing && fetch.NotFound(err)
		silent = silent && (fetch.Unreachable(err) || errors.Is(err, ErrRollback))
	}
	switch {
	case cached != nil && stale != nil:
		cached.notes = append(cached.notes, fmt.Sprintf("the mirror's index of %s is of %s, older than the store's of %s, which is used; the mirror is behind",
			s.suite, day(stale.release.date), day(cached.release.date)))
		return cached, nil
	case cached != nil && silent:
		cached.notes = append(cached.notes, fmt.Sprintf("no mirror answers for %s (%v); the store's index of %s is still valid and used", s.suite, brief(problems[0]), day(cached.release.date)))
		return cached, nil
	case missing && s.dist && s.base:
		return nil, &kindError{ErrNoRelease, fmt.Sprintf("opening %s: %s has no release %q at %s; known are %s", s.suite, s.of.Name, s.suite, s.mirrors(), strings.Join(s.of.releases, ", "))}
	case missing:
		return nil, &kindError{ErrNoRelease, fmt.Sprintf("opening %s: there is no such suite at %s; check url and suite (%v)", s.suite, s.mirrors(), all)}
	}
	return nil, all
}

// brief is the first line of an error, cut at its remedy.
func brief(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	text, _, _ = strings.Cut(text, ";")
	return text
}

func rollback(s *source, v *verified, m memory) error {
	return &kindError{ErrRollback, fmt.Sprintf("checking %s: its date is %s, but an index of %s was seen before: the mirror is behind, or somebody replays an old one; use another mirror, or wait until this one is updated",
		s.where(v.base), day(v.release.date), day(m.Date))}
}

// ask gets InRelease, or Release and Release.gpg, from one mirror. With an
// answer "not changed" it returns the cached one.
func (c *Config) ask(ctx context.Context, s *source, base string, m memory, cached *verified) (*verified, error) {
	f, now := c.fetcher(), c.now()
	condition := fetch.Condition{}
	if cached != nil && cached.detach == nil && m.Base == base && m.SHA256 == cached.digest() {
		condition = m.Condition
	}
	v := &verified{base: base}
	dir := s.dir(base)
	document, err := f.Get(ctx, "the index of "+s.suite, []string{dir + "InRelease"}, maxRelease, condition)
	switch {
	case err == nil && document.Unchanged:
		return cached, nil
	case err == nil:
		v.raw, v.condition = document.Body, document.Condition
	case fetch.NotFound(err):
		if err := c.askDetached(ctx, s, dir, v, err); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	return v, v.verify(s, s.where(base), now)
}

// askDetached gets the older pair of files. If there is no Release either,
// the answer is that there is no InRelease.
func (c *Config) askDetached(ctx context.Context, s *source, dir string, v *verified, missing error) error {
	f := c.fetcher()
	text, err := f.Get(ctx, "the index of "+s.suite, []string{dir + "Release"}, maxRelease, fetch.Condition{})
	if fetch.NotFound(err) {
		return missing
	}
	if err != nil {
		return err
	}
	signature, err := f.Get(ctx, "the signature of "+s.suite, []string{dir + "Release.gpg"}, maxRelease, fetch.Condition{})
	if fetch.NotFound(err) {
		return unsigned("verifying %s: it is not signed (there is neither InRelease nor Release.gpg)", s.where(dir))
	}
	if err != nil {
		return err
	}
	v.raw, v.detach = text.Body, signature.Body
	return nil
}
