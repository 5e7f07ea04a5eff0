package build

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/progress"
	"slipway/internal/store"
)

// A flipped byte in a stored disk, kernel or initramfs is noticed before
// anything starts from it, and the image is made anew.
func TestDamagedImageIsDropped(t *testing.T) {
	for _, damaged := range []string{"disk.raw", "kernel", "initrd", "boot.json", ""} {
		s, err := store.Open(t.TempDir(), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var said strings.Builder
		b := &Builder{Store: s, Progress: progress.New(&said, progress.Plain, false)}
		key := strings.Repeat("ab", 32)
		commitImage(t, s, key)
		dir, _ := s.Image(key)
		if damaged != "" {
			flip(t, filepath.Join(dir, damaged))
		}
		got, err := b.stored(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		_, there := s.Image(key)
		if whole := damaged == ""; (got != nil) != whole || there != whole {
			t.Errorf("%q damaged: got %v, still there: %t", damaged, got, there)
		}
		if got != nil && (got.Disk != filepath.Join(dir, "disk.raw") || got.Cmdline != "quiet") {
			t.Errorf("opened %+v", got)
		}
	}
}

func commitImage(t *testing.T, s *store.Store, key string) {
	t.Helper()
	stage, err := s.TempDir("image")
	if err != nil {
		t.Fatal(err)
	}
	record := bootRecord{Boot: Boot{Key: key, Disk: "disk.raw", Kernel: "kernel", Initrd: "initrd", Cmdline: "quiet"}, Sums: map[string]*image.Sums{}}
	for _, name := range []string{"disk.raw", "kernel", "initrd"} {
		path := filepath.Join(stage, name)
		if err := os.WriteFile(path, []byte(strings.Repeat(name, 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		if record.Sums[name], err = image.SumFile(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	data, err := json.Marshal(record)
	if err == nil {
		err = os.WriteFile(filepath.Join(stage, "boot.json"), data, 0o600)
	}
	if err == nil {
		err = s.CommitImage(key, stage)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// flip changes a byte in the middle; a description is cut short.
func flip(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if filepath.Ext(path) == ".json" {
		data = data[:len(data)/2]
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
