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

	"golang.org/x/sys/unix"

	"slipway/internal/fetch"
)

// memory is what the store remembers of an index. Date outlives the file
// beside it: it is what detects a rollback.
type memory struct {
	Checked time.Time
	Date    time.Time // the newest ever accepted
	SHA256  string
	fetch.Condition
}

// opened is one index in use.
type opened struct {
	index *Index
	sum   string
	notes []string
}

// dir is the folder of a source in the store.
func (c *Config) dir(s *Source) string {
	sum := sha256.Sum256([]byte(s.Base + " " + c.Arch + " " + strings.Join(s.Keys.Names(), " ")))
	return filepath.Join(c.CacheDir, "apk", hex.EncodeToString(sum[:16]))
}

func load(dir string) memory {
	var m memory
	data, err := os.ReadFile(filepath.Join(dir, "memory.json"))
	if err != nil || json.Unmarshal(data, &m) != nil {
		return memory{} // none, or damaged: it is made anew
	}
	return m
}

func save(dir string, m memory, data []byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if data != nil {
		if err := writeFile(filepath.Join(dir, "APKINDEX.tar.gz"), data); err != nil {
			return err
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "memory.json"), append(text, '\n'))
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

func readOnly(err error) bool { return errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission) }

// stored verifies the store's copy again, as if a mirror had given it.
func stored(dir string, s *Source) (*opened, error) {
	data, err := os.ReadFile(filepath.Join(dir, "APKINDEX.tar.gz"))
	if err != nil {
		return nil, err
	}
	return check(data, s)
}

func check(data []byte, s *Source) (*opened, error) {
	x, err := Decode(data, s.Keys)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	return &opened{index: x, sum: hex.EncodeToString(sum[:])}, nil
}

// open finds the index to use: the store's if it is fresh, else the mirror's,
// else the store's again if the mirror is silent.
func (c *Config) open(ctx context.Context, s *Source) (*opened, error) {
	dir := c.dir(s)
	m := load(dir)
	have, err := stored(dir, s)
	if err == nil {
		if age := c.now().Sub(m.Checked); c.Offline || age >= 0 && age < c.maxAge() {
			return have, nil
		}
	}
	if c.Offline {
		return nil, fmt.Errorf("opening %s: its index is %w, and the network is not to be used; run it once with the network", s.Name, ErrOffline)
	}
	got, err := c.ask(ctx, s, dir, m, have)
	var failed *fetch.Error
	if errors.As(err, &failed) && have != nil && fetch.Unreachable(err) {
		have.notes = append(have.notes, fmt.Sprintf("%s cannot be reached; the store's index of %s is used", s.Base, day(have.index.Date)))
		return have, nil
	}
	return got, err
}

// ask gets the index from its address.
func (c *Config) ask(ctx context.Context, s *Source, dir string, m memory, have *opened) (*opened, error) {
	url := strings.TrimRight(s.Base, "/") + "/" + c.Arch + "/APKINDEX.tar.gz"
	condition := fetch.Condition{}
	if have != nil && have.sum == m.SHA256 {
		condition = m.Condition
	}
	document, err := c.Fetcher.Get(ctx, "the index of "+s.Name, []string{url}, maxIndex, condition)
	if fetch.NotFound(err) {
		return nil, fmt.Errorf("opening %s: %w at %s (there is no %s/APKINDEX.tar.gz); check the release and the architecture", s.Name, ErrMissing, s.Base, c.Arch)
	}
	if err != nil {
		return nil, err
	}
	got := have
	if !document.Unchanged {
		if got, err = check(document.Body, s); err != nil {
			return nil, fmt.Errorf("verifying the index of %s from %s: %w; something between here and the repository changed it, or its key is not trusted", s.Name, fetch.Redact(url), err)
		}
	}
	if err := c.plausible(s, got, m); err != nil {
		return nil, err
	}
	next := memory{Checked: c.now(), Date: got.index.Date, SHA256: got.sum, Condition: document.Condition}
	if err := save(dir, next, document.Body); err != nil && !readOnly(err) {
		return nil, fmt.Errorf("storing the index of %s: %w", s.Name, err)
	}
	return got, nil
}

// plausible refuses an index from the past or the future.
func (c *Config) plausible(s *Source, got *opened, m memory) error {
	switch date := got.index.Date; {
	case date.Before(m.Date):
		return fmt.Errorf("checking the index of %s: it is of %s, but one of %s was seen before (%w): the mirror is behind, or somebody replays an old one; use another mirror, or wait until this one is updated",
			s.Name, day(date), day(m.Date), ErrRollback)
	case date.After(c.now().Add(24 * time.Hour)):
		return fmt.Errorf("checking the index of %s: it is of %s (%w); check this host's clock", s.Name, day(date), ErrClock)
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// Fingerprint names the indexes that Open would use without asking a mirror,
// for a caller that remembers what it computed from them; "" when a mirror
// would be asked first.
func Fingerprint(c Config) string {
	h := sha256.New()
	for i := range c.Sources {
		s := &c.Sources[i]
		m := load(c.dir(s))
		if age := c.now().Sub(m.Checked); m.SHA256 == "" && !s.Optional || age < 0 || age >= c.maxAge() {
			return ""
		}
		fmt.Fprintf(h, "%s %s %s\n", s.Base, s.Tag, m.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}
