package build

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"slipway/internal/store"
	"slipway/internal/tree"
)

// Packs that are opened ahead are those of the store, each is given once, and
// a damaged one is still found out when it is used.
func TestReadAhead(t *testing.T) {
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var names []string
	for i := range 2 * aheadPacks {
		sum := sha256.Sum256([]byte{byte(i)})
		name := hex.EncodeToString(sum[:])
		w, err := s.NewPackWriter(name)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("content %d", i)
		if err := w.Add(tree.Entry{Path: "f", Type: tree.File, Mode: 0o644, Size: int64(len(text))}, bytes.NewReader([]byte(text))); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	data, err := os.ReadFile(s.PackPath(names[7]))
	if err != nil {
		t.Fatal(err)
	}
	copy(data[bytes.Index(data, []byte("content 7")):], "damaged")
	if err := os.WriteFile(s.PackPath(names[7]), data, 0o600); err != nil {
		t.Fatal(err)
	}
	in := &inbox{store: s, ahead: newReadAhead(s)}
	for _, name := range names {
		in.ahead.add(name)
	}
	for i, name := range names {
		for range 2 { // the second is opened anew
			p, err := in.open(supplied{SHA256: name})
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.Create(filepath.Join(t.TempDir(), "f"))
			if err != nil {
				t.Fatal(err)
			}
			err = p.WriteTo(0, f)
			var damage *store.CorruptError
			if i == 7 != errors.As(err, &damage) || i != 7 && err != nil {
				t.Errorf("pack %d: %v", i, err)
			}
			got, _ := os.ReadFile(f.Name())
			if want := fmt.Sprintf("content %d", i); i != 7 && string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
			f.Close()
			p.Close()
		}
	}
	if p := in.ahead.take("unknown"); p != nil {
		t.Error("a pack that nobody added")
	}
}
