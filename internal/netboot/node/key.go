package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keyFile is where a server keeps the key that signs orders.
const keyFile = "order.key"

// Key reads the key of a server's folder, or makes it. It must stay: machines
// that started with its public half obey no other.
func Key(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, keyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path); err != nil {
			return nil, fmt.Errorf("making the key for orders: %w", err)
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key for orders: %w", err)
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s is damaged: bring it back from a backup, or remove it and make all sticks again", path)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// makeKey writes a new key. Of two that do so at once one wins.
func makeKey(path string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), keyFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key.Seed()) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// EncodeKey writes a public key as it stands in an initramfs.
func EncodeKey(key ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(key) }

func decodeKey(text string) (ed25519.PublicKey, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, errors.New("the key in the initramfs is damaged: make the stick or the initrd again")
	}
	return key, nil
}

// PublicKey reads the public half of a server's key, as it stands in an
// initramfs, from the file that Key wrote.
func PublicKey(path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("reading the server's key: %w", err)
	}
	if filepath.Base(path) != keyFile {
		return "", fmt.Errorf("%s: the server's key is in the file %s of its folder", path, keyFile)
	}
	key, err := Key(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	return EncodeKey(key.Public().(ed25519.PublicKey)), nil
}
