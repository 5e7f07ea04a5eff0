package image

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSums(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, 5 << 20, 41 << 20} {
		if _, err := f.WriteAt([]byte("data"), at); err != nil {
			t.Fatal(err)
		}
	}
	s, err := SumFile(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.SHA256) != 11 || s.SHA256[3] != "" || s.SHA256[1] == "" {
		t.Fatalf("sums %q", s.SHA256)
	}
	if err := s.Check(t.Context(), name); err != nil {
		t.Error(err)
	}
	for _, at := range []int64{1, 20 << 20, 41<<20 + 3} { // data, a hole, the end
		var old [1]byte
		f.ReadAt(old[:], at)
		f.WriteAt([]byte{old[0] ^ 1}, at)
		if s.Check(t.Context(), name) == nil {
			t.Errorf("a flipped bit at %d is not seen", at)
		}
		f.WriteAt(old[:], at)
	}
	f.Truncate(42 << 20)
	if s.Check(t.Context(), name) == nil {
		t.Error("a longer file is not seen")
	}
}
