package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// objectKinds are the downloaded things, by folder and suffix.
var objectKinds = map[string]struct{ dir, suffix string }{
	"deb":     {"debs", ".deb"}, // packages, by the family's name
	"apk":     {"apks", ".apk"},
	"tarball": {"tarballs", ".tar"},
	"index":   {"indexes", ".index"},
	"file":    {"files", ".file"},
}

// ObjectPath is where a downloaded object of a kind (a family, "index", "file") lies or
// will lie, by the SHA-256 of its bytes. It panics on an unknown kind.
func (s *Store) ObjectPath(kind, digestHex string) string {
	k, ok := objectKinds[kind]
	if !ok {
		panic("store: unknown kind of object " + kind)
	}
	return s.path(k.dir, digestHex+k.suffix)
}

// HasObject reports whether the object is there. In another user's store its
// bytes are hashed first, and a wrong one is not there.
func (s *Store) HasObject(kind, digestHex string) bool {
	name := s.ObjectPath(kind, digestHex)
	st, err := os.Stat(name)
	if !validName(digestHex) || err != nil || !st.Mode().IsRegular() {
		return false
	}
	if s.foreign {
		return s.VerifyObject(kind, digestHex) == nil
	}
	s.touch(name)
	return true
}

// VerifyObject hashes an object. A wrong one is a *CorruptError; the remedy is
// RemoveObject and fetching it again.
func (s *Store) VerifyObject(kind, digestHex string) error {
	f, err := s.OpenObject(kind, digestHex)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != digestHex {
		return &CorruptError{Path: f.Name(), What: "its SHA-256 is " + got}
	}
	return nil
}

// OpenObject opens an object for reading, without verifying it. The error
// wraps ErrNotFound when it is not there.
func (s *Store) OpenObject(kind, digestHex string) (*os.File, error) {
	f, err := os.Open(s.ObjectPath(kind, digestHex))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the %s %s: %w", kind, digestHex, ErrNotFound)
	}
	return f, s.explain("opening a "+kind, err)
}

// ImportObject stores the bytes of r, which must have the given SHA-256. They
// are hashed while they are written, and become visible only if they match.
func (s *Store) ImportObject(kind, digestHex string, r io.Reader) error {
	if !validName(digestHex) {
		return fmt.Errorf("importing a %s: %q is not a digest", kind, digestHex)
	}
	f, err := s.TempFile(kind)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after publish
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(f, io.TeeReader(r, h)); err != nil {
		return s.explain("importing a "+kind, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != digestHex {
		return fmt.Errorf("importing a %s: got SHA-256 %s, want %s", kind, got, digestHex)
	}
	if err := fdatasync(f); err != nil {
		return s.explain("syncing a "+kind, err)
	}
	return s.publish(f, s.ObjectPath(kind, digestHex))
}

// AddObject stores bytes that are in memory under their SHA-256, and gives it.
func (s *Store) AddObject(kind string, data []byte) (digestHex string, err error) {
	sum := sha256.Sum256(data)
	digestHex = hex.EncodeToString(sum[:])
	f, err := s.TempFile(kind)
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name()) // gone after publish
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return "", s.explain("storing a "+kind, err)
	}
	if err := fdatasync(f); err != nil {
		return "", s.explain("syncing a "+kind, err)
	}
	if err := s.publish(f, s.ObjectPath(kind, digestHex)); err != nil {
		return "", err
	}
	s.added.Store(kind+digestHex, nil)
	return digestHex, nil
}

// Added tells whether AddObject has stored the object since the store was
// opened: it need not be hashed once more to be trusted.
func (s *Store) Added(kind, digestHex string) bool {
	_, ok := s.added.Load(kind + digestHex)
	return ok
}

// RemoveObject forgets an object, because it is damaged. None is no error.
func (s *Store) RemoveObject(kind, digestHex string) error {
	if err := s.writable("removing a " + kind); err != nil {
		return err
	}
	return s.explain("removing a "+kind, ignoreNotExist(os.Remove(s.ObjectPath(kind, digestHex))))
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
