package store

import (
	"os"
	"path/filepath"
	"testing"
)

// An image is whole or not there, is counted, and goes with the garbage unless
// it is pinned.
func TestImages(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, key := range []string{"aa", "bb"} {
		stage, err := s.TempDir("image")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(stage, "disk.raw"), []byte("disk"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.CommitImage(key, stage); err != nil {
			t.Fatal(err)
		}
	}
	dir, ok := s.Image("aa")
	if b, err := os.ReadFile(filepath.Join(dir, "disk.raw")); !ok || err != nil || string(b) != "disk" {
		t.Fatalf("%v, %q, %v", ok, b, err)
	}
	if _, ok := s.Image("cc"); ok {
		t.Error("an image that was never made is there")
	}
	if u, err := s.Usage(); err != nil || u.Images != 2 || u.ImageBytes == 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	if err := s.Pin("machine-x", "bb"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GC(t.Context(), GCOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Image("aa"); ok {
		t.Error("an image that nobody pins outlived the collection")
	}
	if _, ok := s.Image("bb"); !ok {
		t.Error("a pinned image was collected")
	}
}
