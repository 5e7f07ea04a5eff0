package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/store"
)

func TestBootCache(t *testing.T) {
	s, err := store.Open(filepath.Join(t.TempDir(), "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, key := bootCache{s}, strings.Repeat("ab", 32)
	if got := c.Get(key); got != nil {
		t.Errorf("an empty cache has %q", got)
	}
	c.Put(key, []byte("initramfs"))
	c.Put(key, []byte("initramfs"))
	if got := c.Get(key); string(got) != "initramfs" {
		t.Errorf("got %q", got)
	}
	dir, ok := s.Image(key)
	if !ok {
		t.Fatal("the store does not know it")
	}
	if err := os.WriteFile(filepath.Join(dir, cachedPart), []byte("inatramfs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.Get(key); got != nil {
		t.Errorf("a damaged part was given: %q", got)
	}
}
