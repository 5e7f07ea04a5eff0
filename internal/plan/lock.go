// Package plan holds what a build will do as data: the lock, which pins every
// input by hash, and the plan that a person reads before the build.
//
// The package knows no family: families fill in the packages and the dates.
// The lock's form is specified in docs/design.md, "The lock".
package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"
)

// LockVersion is the format version that this program writes and reads.
const LockVersion = 1

// Class says which packages a machine needs where it will run.
type Class string

// The classes: plain holds only what keys ask for, container adds the init,
// bootable adds kernel and loader.
const (
	Plain     Class = "plain"
	Container Class = "container"
	Bootable  Class = "bootable"
)

// Lock pins every input of a build.
type Lock struct {
	Version int    `json:"version"`
	System  string `json:"system"`
	Arch    string `json:"arch"`
	// Date is the newest date of the archive's indexes; file times are clamped to it.
	Date time.Time `json:"date"`
	// Request is the digest of the keys that choose packages; when it differs
	// from the definition's, the difference is resolved anew.
	Request map[Class]string `json:"request"`
	Indexes []Index          `json:"indexes"`
	// Base and Rest list package ids per class in the order in which they are unpacked.
	Base map[Class][]string `json:"base"`
	Rest map[Class][]string `json:"rest"`
	// Steps is, per class, how the rest is unpacked and configured in turns.
	Steps    map[Class][]Step `json:"steps"`
	Packages []Package        `json:"packages"`
	// Users and Groups keep the numbers that maintainer scripts chose, so that
	// a later build never moves an id under kept data.
	Users  map[string]int `json:"users,omitempty"`
	Groups map[string]int `json:"groups,omitempty"`
}

// Step is one turn of the installation: "unpack" or "configure" with the
// packages as "name:arch", or "configure-pending" without any.
type Step struct {
	Op       string   `json:"op"`
	Packages []string `json:"packages,omitempty"`
}

// Index is one signed index that packages were chosen from.
type Index struct {
	Suite   string    `json:"suite"`
	URL     string    `json:"url"` // official or declared address, never a host's mirror
	Release string    `json:"release"`
	Date    time.Time `json:"date"`
}

// Package is one package that a build uses.
type Package struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Arch      string `json:"arch"`
	SHA256    string `json:"sha256"`
	Size      int64  `json:"size"`
	File      string `json:"file"`           // path below the archive's base address, or a local file
	URL       string `json:"url,omitempty"`  // base address of a declared repository; empty: the distribution's own
	Suite     string `json:"suite"`          // suite it was taken from
	ImpliedBy string `json:"implied_by"`     // key that brings it; empty: asked for, the base, or a dependency
	Why       string `json:"why,omitempty"`  // id of the package (or "definition", "base") that needs it
	Auto      bool   `json:"auto,omitempty"` // installed only as a dependency
}

// ID is "name:arch=version".
func (p Package) ID() string { return p.Name + ":" + p.Arch + "=" + p.Version }

// Find returns the package with the given id.
func (l *Lock) Find(id string) (Package, bool) {
	for _, p := range l.Packages {
		if p.ID() == id {
			return p, true
		}
	}
	return Package{}, false
}

// Select returns the packages of a class: the base and the rest, in unpack
// order. An error means the lock is damaged.
func (l *Lock) Select(c Class) (base, rest []Package, err error) {
	byID := make(map[string]Package, len(l.Packages))
	for _, p := range l.Packages {
		byID[p.ID()] = p
	}
	pick := func(ids []string) ([]Package, error) {
		out := make([]Package, 0, len(ids))
		for _, id := range ids {
			p, ok := byID[id]
			if !ok {
				return nil, fmt.Errorf("lock: class %s names %s, which it does not pin", c, id)
			}
			out = append(out, p)
		}
		return out, nil
	}
	if base, err = pick(l.Base[c]); err != nil {
		return nil, nil, err
	}
	rest, err = pick(l.Rest[c])
	return base, rest, err
}

// Has tells whether the lock pins this class.
func (l *Lock) Has(c Class) bool { _, ok := l.Request[c]; return ok }

// Only returns a lock that pins this class alone.
func (l *Lock) Only(c Class) *Lock {
	out := *l
	out.Request = map[Class]string{c: l.Request[c]}
	out.Base = map[Class][]string{c: l.Base[c]}
	out.Rest = map[Class][]string{c: l.Rest[c]}
	out.Steps = map[Class][]Step{c: l.Steps[c]}
	out.Packages = nil
	used := map[string]bool{}
	for _, id := range append(append([]string(nil), l.Base[c]...), l.Rest[c]...) {
		used[id] = true
	}
	for _, p := range l.Packages {
		if used[p.ID()] {
			out.Packages = append(out.Packages, p)
		}
	}
	return &out
}

// Merge adds the packages and the class lists of o, which wins where both pin
// the same class.
func (l *Lock) Merge(o *Lock) {
	seen := map[string]bool{}
	if l.Request == nil {
		l.Request = map[Class]string{}
	}
	if l.Base == nil {
		l.Base = map[Class][]string{}
	}
	if l.Steps == nil {
		l.Steps = map[Class][]Step{}
	}
	if l.Rest == nil {
		l.Rest = map[Class][]string{}
	}
	for c, request := range o.Request {
		l.Request[c] = request
		l.Base[c] = o.Base[c]
		l.Rest[c] = o.Rest[c]
		l.Steps[c] = o.Steps[c]
	}
	used := map[string]bool{}
	for _, lists := range []map[Class][]string{l.Base, l.Rest} {
		for _, ids := range lists {
			for _, id := range ids {
				used[id] = true
			}
		}
	}
	var all []Package
	for _, p := range append(append([]Package(nil), o.Packages...), l.Packages...) {
		if used[p.ID()] && !seen[p.ID()] {
			seen[p.ID()] = true
			all = append(all, p)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ID() < all[j].ID() })
	l.Packages = all
	if o.Date.After(l.Date) {
		l.Date, l.Indexes = o.Date, o.Indexes
	}
}

// Digest is the SHA-256 of the lock's canonical form.
func (l *Lock) Digest() string {
	sum := sha256.Sum256(l.Encode())
	return hex.EncodeToString(sum[:])
}

// Encode writes the lock's one canonical form: JSON, one package a line, so
// that a version control system shows what changed.
func (l *Lock) Encode() []byte {
	head := *l
	head.Packages = nil
	text, err := json.MarshalIndent(&head, "", " ")
	if err != nil {
		panic(err) // plain data cannot fail to encode
	}
	var lines bytes.Buffer
	lines.WriteString("\"packages\": [")
	for i, p := range l.Packages {
		if i > 0 {
			lines.WriteString(",")
		}
		one, err := json.Marshal(p)
		if err != nil {
			panic(err)
		}
		lines.WriteString("\n  ")
		lines.Write(one)
	}
	lines.WriteString("\n ]")
	return append(bytes.Replace(text, []byte("\"packages\": null"), lines.Bytes(), 1), '\n')
}

// ReadLock reads the lock of a definition. A missing file is nil, nil.
func ReadLock(path string) (*Lock, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return DecodeLock(path, data)
}

// DecodeLock parses a lock strictly: an unknown field, a missing hash or a
// newer format is an error that names the file.
func DecodeLock(path string, data []byte) (*Lock, error) {
	var l Lock
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return nil, fmt.Errorf("%s: reading the lock: %w (write it anew with: slipway lock)", path, err)
	}
	if l.Version != LockVersion {
		return nil, fmt.Errorf("%s: lock format %d, this program reads %d", path, l.Version, LockVersion)
	}
	for _, p := range l.Packages {
		if raw, err := hex.DecodeString(p.SHA256); err != nil || len(raw) != sha256.Size || p.Size <= 0 {
			return nil, fmt.Errorf("%s: package %s has no valid sha256 and size", path, p.ID())
		}
	}
	for c := range l.Request {
		if _, _, err := l.Select(c); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return &l, nil
}

// WriteLock replaces the lock file atomically.
func WriteLock(path string, l *Lock) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing the lock: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(l.Encode())
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing the lock: %w", err)
	}
	return nil
}
