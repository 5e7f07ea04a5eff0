package install

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Keys that a package made go, the same folder's other files stay, and nothing
// outside the tree is touched through a link.
func TestFinishRemovesMinted(t *testing.T) {
	f := newFake(t, Options{})
	outside := t.TempDir()
	files := map[string]bool{ // whether they stay
		"etc/ssh/ssh_host_rsa_key":        false,
		"etc/ssh/ssh_host_rsa_key.pub":    false,
		"etc/ssh/sshd_config":             true,
		"var/lib/mysql/mysql/db.frm":      false,
		"var/lib/mysql/ibdata1":           false,
		"var/lib/mysql/debian-10.11.flag": true,
		"var/lib/postgresql/17/main/base": false,
		"var/lib/postgresql/17/notes":     true,
		"var/lib/postgresql/main":         true,
	}
	for name := range files {
		path := filepath.Join(f.root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept := filepath.Join(outside, "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(f.root, "var/lib/mysql/sys")); err != nil {
		t.Fatal(err)
	}
	files["etc/ssh/ssh_host_ours_key"] = true
	f.Installer.db.files["etc/ssh/ssh_host_ours_key"] = []*record{{name: "ours"}}
	if err := os.WriteFile(filepath.Join(f.root, "etc/ssh/ssh_host_ours_key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	for name, stays := range files {
		if _, err := os.Lstat(filepath.Join(f.root, name)); (err == nil) != stays {
			t.Errorf("/%s: %v, want it to stay: %v", name, err, stays)
		}
	}
	if _, err := os.Lstat(kept); err != nil {
		t.Error(err)
	}
}

// Scripts find a resolv.conf; the tree keeps only one that is somebody's.
func TestGuardResolver(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"untouched": func(string) error { return nil },
		"written":   func(p string) error { return os.WriteFile(p, []byte("nameserver 192.0.2.1\n"), 0o644) },
		"linked": func(p string) error {
			return errors.Join(os.Remove(p), os.Symlink("../run/resolv.conf", p))
		},
	} {
		f := newFake(t, Options{})
		if err := os.MkdirAll(filepath.Join(f.root, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		release, err := f.Guard()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(f.root, "etc/resolv.conf")
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: scripts find none: %v", name, err)
		}
		if err := change(path); err != nil {
			t.Fatal(err)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(path); (err == nil) == (name == "untouched") {
			t.Errorf("%s: after the build: %v", name, err)
		}
	}
}
