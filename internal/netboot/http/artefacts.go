package http

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"slipway/internal/fleet"
)

// Artefacts are files that are served under the hash of what is in them. A file
// is held open from the moment it is added: who downloads it while another
// takes its name gets the old one to its end. Before a file is served for the
// first time, and whenever it was touched since, it is read and compared with
// its hash, so that a damaged image never leaves.
type Artefacts struct {
	mu   sync.Mutex
	held map[string]*held // by digest
}

// held is one artefact.
type held struct {
	Artefact
	file  *os.File
	bytes []byte

	mu     sync.Mutex
	proven stamp // state of the file when its hash was right
	bad    error // that it was wrong, and
	badAt  stamp // in which state
}

// Artefact describes one.
type Artefact struct {
	Digest string // SHA-256, 64 hexadecimal digits in lower case
	Name   string // as people know it; its ending gives the media type
	Size   int64
	Secret bool // given out only by token
}

// Path is the path of its address: /a/sha256-HEX.
func (a Artefact) Path() string { return "/a/sha256-" + a.Digest }

// stamp is the state of a file: whoever writes to it changes it.
type stamp struct {
	size, modified, changed int64
}

// ErrDamaged says that a file is not what its digest says.
var ErrDamaged = errors.New("the file is damaged")

// Add takes a file. digest is what it must have, such as from the sidecar of an
// image; empty: it is read now. Name is how people call it; empty: as the file
// is called.
func (a *Artefacts) Add(path, digest, name string, secret bool) (Artefact, error) {
	f, err := os.Open(path)
	if err != nil {
		return Artefact{}, fmt.Errorf("adding an artefact: %w", err)
	}
	h, err := newHeld(f, digest, or(name, filepath.Base(path)), secret)
	if err != nil {
		f.Close()
		return Artefact{}, fmt.Errorf("adding artefact %s: %w", path, err)
	}
	a.keep(h)
	return h.Artefact, nil
}

// AddBytes takes what is in memory; it must not change.
func (a *Artefacts) AddBytes(b []byte, name string, secret bool) Artefact {
	sum := sha256.Sum256(b)
	h := &held{Artefact: Artefact{hex.EncodeToString(sum[:]), name, int64(len(b)), secret}, bytes: b}
	a.keep(h)
	return h.Artefact
}

// keep adds to the table. The same content again keeps the file that is
// proven, and is secret if either is.
func (a *Artefacts) keep(h *held) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held == nil {
		a.held = map[string]*held{}
	}
	if old := a.held[h.Digest]; old != nil {
		h.Secret = h.Secret || old.Secret
		old.close()
	}
	a.held[h.Digest] = h
}

// Drop forgets an artefact; who is downloading it gets the rest.
func (a *Artefacts) Drop(digest string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.held[digest]; h != nil {
		h.close()
		delete(a.held, digest)
	}
}

// Get describes an artefact.
func (a *Artefacts) Get(digest string) (Artefact, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.held[strings.ToLower(digest)]
	if h == nil {
		return Artefact{}, false
	}
	return h.Artefact, true
}

// Content opens an artefact for one answer. It reads the file when that is due;
// callers that come meanwhile wait for it.
func (a *Artefacts) Content(ctx context.Context, digest string) (Content, error) {
	a.mu.Lock()
	h := a.held[strings.ToLower(digest)]
	var file *os.File
	var err error
	if h != nil && h.file != nil {
		// A position of its own, and the same file even if it has no name any more.
		file, err = os.Open(fmt.Sprintf("/proc/self/fd/%d", h.file.Fd()))
	}
	a.mu.Unlock()
	if h == nil {
		return Content{}, fmt.Errorf("artefact sha256-%.64s: %w", digest, fs.ErrNotExist)
	}
	c := Content{
		File: file, Bytes: h.bytes, Name: h.Name, ETag: `"sha256-` + h.Digest + `"`, Immutable: true, Secret: h.Secret,
		About: fleet.Event{Fields: map[string]string{fleet.FieldFile: h.Name, fleet.FieldVersion: h.Digest}},
	}
	if err == nil && file != nil {
		err = h.prove(ctx, file)
	}
	if err != nil {
		c.Close()
		return Content{About: c.About}, fmt.Errorf("opening %s: %w", h.Name, err)
	}
	return c, nil
}

// Prove reads artefacts that were not read yet, so that nobody has to wait
// for it later. It returns what is damaged.
func (a *Artefacts) Prove(ctx context.Context) error {
	a.mu.Lock()
	var digests []string
	for d := range a.held {
		digests = append(digests, d)
	}
	a.mu.Unlock()
	var all []error
	for _, d := range digests {
		c, err := a.Content(ctx, d)
		c.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// Close lets go of all files.
func (a *Artefacts) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.held {
		h.close()
	}
	a.held = nil
}

func (h *held) close() {
	if h.file != nil {
		h.file.Close()
	}
}

func newHeld(f *os.File, digest, name string, secret bool) (*held, error) {
	s, err := stampOf(f)
	if err != nil {
		return nil, err
	}
	h := &held{Artefact: Artefact{strings.ToLower(digest), name, s.size, secret}, file: f}
	if digest == "" {
		if h.Digest, err = hash(context.Background(), f); err != nil {
			return nil, err
		}
		after, err := stampOf(f)
		if err != nil {
			return nil, err
		}
		if after != s {
			return nil, errors.New("the file was written to while it was read")
		}
		h.proven = s
	}
	if raw, err := hex.DecodeString(h.Digest); err != nil || len(raw) != sha256.Size {
		return nil, fmt.Errorf("%q is no SHA-256", digest)
	}
	return h, nil
}

// prove compares the file with its digest, unless that was done since it was
// last written to.
func (h *held) prove(ctx context.Context, f *os.File) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, err := stampOf(f)
	if err != nil {
		return err
	}
	switch now {
	case h.proven:
		return nil
	case h.badAt:
		return h.bad
	}
	got, err := hash(ctx, f)
	if err != nil {
		return fmt.Errorf("reading it: %w", err)
	}
	if after, err := stampOf(f); err != nil || after != now {
		return errors.Join(err, fmt.Errorf("%w: it is being written to", ErrDamaged))
	}
	if got != h.Digest {
		h.bad, h.badAt = fmt.Errorf("%w: it has SHA-256 %s and should have %s; build it again", ErrDamaged, got, h.Digest), now
		return h.bad
	}
	h.proven = now
	return nil
}

func stampOf(f *os.File) (stamp, error) {
	info, err := f.Stat()
	if err != nil {
		return stamp{}, err
	}
	if !info.Mode().IsRegular() {
		return stamp{}, fmt.Errorf("%s is no regular file", f.Name())
	}
	st := info.Sys().(*syscall.Stat_t)
	return stamp{info.Size(), info.ModTime().UnixNano(), time.Unix(st.Ctim.Unix()).UnixNano()}, nil
}

// hash reads a file from its beginning without moving its position.
func hash(ctx context.Context, f *os.File) (string, error) {
	sum, buf := sha256.New(), make([]byte, 1<<20)
	for off := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := f.ReadAt(buf, off)
		sum.Write(buf[:n])
		off += int64(n)
		if err == io.EOF {
			return hex.EncodeToString(sum.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}
