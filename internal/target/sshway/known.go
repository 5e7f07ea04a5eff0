package sshway

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// Alias is the name under which a machine's host keys are known, whatever
// address and port it has.
func Alias(machine string) string { return machine + ".slipway" }

// ParseHostKeys reads public keys, one a line, as in ssh_host_*_key.pub.
// Lines that are no key are passed over: they come from the machine.
func ParseHostKeys(data []byte) []ssh.PublicKey {
	var keys []ssh.PublicKey
	for line := range bytes.Lines(data) {
		if key, _, _, _, err := ssh.ParseAuthorizedKey(line); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// Learn notes a machine's host keys, in place of those it had before; with no
// keys it is forgotten.
func (d Dir) Learn(machine string, keys []ssh.PublicKey) error {
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	old, err := os.ReadFile(d.KnownHostsPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("noting the host keys of %s: %w", machine, err)
	}
	var text strings.Builder
	for line := range strings.Lines(string(old)) {
		if name, _, _ := strings.Cut(line, " "); name != Alias(machine) {
			text.WriteString(line)
		}
	}
	for _, key := range keys {
		text.WriteString(Alias(machine) + " " + string(ssh.MarshalAuthorizedKey(key)))
	}
	if text.String() == string(old) {
		return nil
	}
	if err := d.replace(knownFile, []byte(text.String())); err != nil {
		return fmt.Errorf("noting the host keys of %s: %w", machine, err)
	}
	return nil
}

// lock keeps two processes from losing each other's lines.
func (d Dir) lock() (func(), error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of ssh keys: %w", err)
	}
	f, err := os.OpenFile(d.path(".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

// Known gives the host keys that were learned from a machine; none is no error.
func (d Dir) Known(machine string) ([]ssh.PublicKey, error) {
	data, err := os.ReadFile(d.KnownHostsPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the host keys of %s: %w", machine, err)
	}
	var keys []ssh.PublicKey
	for line := range bytes.Lines(data) {
		if _, hosts, key, _, _, err := ssh.ParseKnownHosts(line); err == nil && len(hosts) == 1 && hosts[0] == Alias(machine) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}
