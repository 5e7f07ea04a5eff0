package container

import (
	"os"
	"path/filepath"
	"testing"

	"slipway/internal/target/supervisor"
)

func TestStateLinkIsNotFollowed(t *testing.T) {
	dir, victim := t.TempDir(), t.TempDir()
	b := &body{&supervisor.Host{Spec: supervisor.Spec{StateDir: dir}}}
	if err := os.MkdirAll(filepath.Join(dir, "var/lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"data", "up"} {
		if err := os.Symlink(victim, filepath.Join(dir, "var/lib", name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/var/lib/data", "/var/lib/up/below"} {
		if got, err := b.volume(path); err == nil {
			t.Errorf("%s: a link that a machine left was taken for its volume: %s", path, got)
		}
	}
}
