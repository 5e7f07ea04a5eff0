package sshway

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Dir is the folder of keys and configuration, of mode 0700.
type Dir string

// The files in a Dir.
const (
	keyFile    = "id_ed25519"
	knownFile  = "known_hosts"
	configFile = "config"
)

func (d Dir) path(name string) string { return filepath.Join(string(d), name) }

// KeyPath is where the private key is, once Key was called.
func (d Dir) KeyPath() string { return d.path(keyFile) }

// ConfigPath is the file for `ssh -F` and for Include in ~/.ssh/config.
func (d Dir) ConfigPath() string { return d.path(configFile) }

// KnownHostsPath is the file of the machines' host keys, sshd(8).
func (d Dir) KnownHostsPath() string { return d.path(knownFile) }

// Pair is a key pair.
type Pair struct {
	Private []byte // PEM, "OPENSSH PRIVATE KEY"
	Public  string // a line of authorized_keys, without its end
	Signer  ssh.Signer
}

// Key reads the pair, and makes it the first time. Two processes that make it
// at once agree on one.
func (d Dir) Key() (*Pair, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of ssh keys: %w", err)
	}
	pair, err := d.read()
	if errors.Is(err, fs.ErrNotExist) {
		if err = d.generate(); err == nil {
			pair, err = d.read()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("preparing the ssh key: %w", err)
	}
	return pair, nil
}

func (d Dir) read() (*Pair, error) {
	data, err := os.ReadFile(d.KeyPath())
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w; remove it, and another one is made", d.KeyPath(), err)
	}
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(signer.PublicKey())), "\n") + " slipway"
	return &Pair{Private: data, Public: line, Signer: signer}, nil
}

// generate writes a new pair, unless somebody else was faster.
func (d Dir) generate() error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "slipway")
	if err != nil {
		return err
	}
	wire, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	tmp, err := d.temp(pem.EncodeToMemory(block))
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, d.KeyPath()); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(wire)), "\n") + " slipway\n"
	return d.replace(keyFile+".pub", []byte(line))
}

// temp writes a file of mode 0600 beside the others.
func (d Dir) temp(data []byte) (string, error) {
	f, err := os.CreateTemp(string(d), ".new-")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// replace writes a file in one step.
func (d Dir) replace(name string, data []byte) error {
	tmp, err := d.temp(data)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, d.path(name)); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}
