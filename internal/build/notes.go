package build

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"slipway/internal/machine"
)

// note reads a small remembered answer of the store. Losing one costs time,
// nothing else. Nothing proves another user's notes, so they do not count.
func (b *Builder) note(kind, key string) ([]byte, bool) {
	if b.Store.Foreign() {
		return nil, false
	}
	data, err := os.ReadFile(filepath.Join(b.Store.Dir(), "notes", kind, key))
	return data, err == nil
}

// putNote remembers an answer; it appears whole or not at all.
func (b *Builder) putNote(kind, key string, data []byte) error {
	dir := filepath.Join(b.Store.Dir(), "notes", kind)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, key), data, 0o644)
}

func replaceFile(path string, data []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	return err
}

// secretDigest covers the secrets of a definition through an HMAC whose key
// never leaves this store, so that a layer's key reveals nothing about them.
// It is empty when the definition has none.
func (b *Builder) secretDigest(d *machine.Definition) (string, error) {
	// Bytes, not strings: the encoding keeps only the former as they are.
	contents := map[string][]byte{}
	add := func(what string, ref machine.Secret) error {
		data, err := readSecret(ref)
		if err != nil {
			return fmt.Errorf("reading a secret: %w", err)
		}
		contents[what] = data
		return nil
	}
	for i, f := range d.Files {
		if f.Secret == nil {
			continue
		}
		if err := add(fmt.Sprintf("file %d %s %s %s", i, f.Path, f.Owner, f.Mode), *f.Secret); err != nil {
			return "", err
		}
	}
	for _, u := range d.Users {
		if u.Password == nil {
			continue
		}
		if err := add("user "+u.Name, machine.Secret{File: u.Password.HashFile, Env: u.Password.HashEnv}); err != nil {
			return "", err
		}
	}
	if len(contents) == 0 {
		return "", nil
	}
	key, err := b.secretKey()
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(encode(contents))
	return hex.EncodeToString(mac.Sum(nil)), nil
}

func (b *Builder) secretKey() ([]byte, error) {
	path := filepath.Join(b.Store.Dir(), "secret.key")
	key, err := os.ReadFile(path)
	if err == nil && len(key) == sha256.Size {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	unlock, err := b.Store.Lock("secret-key", true)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if key, err := os.ReadFile(path); err == nil && len(key) == sha256.Size {
		return key, nil
	}
	key = make([]byte, sha256.Size)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return key, replaceFile(path, key, 0o600)
}
