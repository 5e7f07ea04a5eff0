package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/tree"
)

// digest is some valid digest, told apart by a word.
func digest(word string) string { return tree.Digest(sha256.Sum256([]byte(word))).String() }

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "store"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// writePack makes a pack of a few entries of every kind and returns its
// digest.
func writePack(t testing.TB, s *Store) string {
	t.Helper()
	w, err := s.NewPackWriter(digest("package"))
	if err != nil {
		t.Fatal(err)
	}
	add := func(e tree.Entry, content string) {
		t.Helper()
		if e.Type == tree.File && e.Link == "" {
			e.Size = int64(len(content))
		}
		if err := w.Add(e, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	add(tree.Entry{Path: ".", Type: tree.Dir, Mode: 0o755}, "")
	add(tree.Entry{Path: "z", Type: tree.File, Mode: 0o644, MTime: 7}, "the letter z")
	add(tree.Entry{Path: "a", Type: tree.File, Link: "z", Mode: 0o644, MTime: 7}, "")
	add(tree.Entry{Path: "empty", Type: tree.File, Mode: 0o600}, "")
	add(tree.Entry{Path: "l", Type: tree.Symlink, Mode: 0o777, Target: "../z"}, "")
	add(tree.Entry{Path: "null", Type: tree.Char, Mode: 0o666, Major: 1, Minor: 3}, "")
	add(tree.Entry{Path: "big", Type: tree.File, Mode: 0o4755, UID: 5, GID: 6,
		Xattrs: map[string]string{"user.a": "b"}}, strings.Repeat("0123456789", 2_000))
	w.AddControl("control", 0o644, 9, []byte("Package: p\n"))
	w.AddControl("postinst", 0o755, 9, []byte("#!/bin/sh\n"))
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return digest("package")
}

func TestPackRoundTrip(t *testing.T) {
	s := open(t)
	p, err := s.OpenPack(writePack(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var paths []string
	for _, e := range p.Entries() {
		paths = append(paths, e.Path)
	}
	if want := []string{".", "z", "a", "empty", "l", "null", "big"}; !cmp.Equal(want, paths) {
		t.Error("archive order:", cmp.Diff(want, paths))
	}
	if z, a := p.Entries()[1], p.Entries()[2]; a.Digest != z.Digest || a.Size != 12 || a.Link != "z" {
		t.Errorf("hard link: got %+v", a)
	}
	if p.Entries()[3].Digest != tree.Empty {
		t.Error("the empty file has another digest than no bytes")
	}
	if got, _ := io.ReadAll(p.Open(2)); string(got) != "the letter z" {
		t.Errorf("content of the hard link: got %q", got)
	}
	if d, ok := p.ControlData("postinst"); !ok || string(d) != "#!/bin/sh\n" || p.Control()[1].Mode != 0o755 {
		t.Errorf("control member: got %q, %+v", d, p.Control())
	}
	for range 2 { // hashed first, then copied by the kernel
		name := filepath.Join(t.TempDir(), "out")
		f, _ := os.Create(name)
		if err := p.WriteTo(6, f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if b, _ := os.ReadFile(name); len(b) != 20_000 || sha256.Sum256(b) != p.Entries()[6].Digest {
			t.Errorf("written: %d bytes, not the content", len(b))
		}
	}
	if left, _ := os.ReadDir(s.path("tmp")); len(left) != 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

// Every flipped bit of a pack is found, when it is opened or when it is read.
func TestPackDamage(t *testing.T) {
	s := open(t)
	name := s.PackPath(writePack(t, s))
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := s.OpenPack(digest("package"))
		if err == nil {
			err = p.Verify()
			p.Close()
		}
		if c := (*CorruptError)(nil); !errors.As(err, &c) || c.Path != name {
			t.Errorf("%s: got error %v, want a CorruptError of %s", what, err, name)
		}
	}
	for off := range good {
		if off == len(packMagic)+1 || off == len(packMagic)+2 || off > 1000 && off < 19_000 {
			continue // reserved bytes; the middle of the long file
		}
		if off > 600 && off%7 != 0 && off < len(good)-700 {
			continue
		}
		b := bytes.Clone(good)
		b[off] ^= 0x10
		check(fmt.Sprintf("bit flip at %d", off), b)
	}
	for _, n := range []int{0, 1, packHeader, packHeader + packFooter, len(good) / 2, len(good) - 1} {
		check(fmt.Sprintf("truncated to %d", n), good[:n])
	}
}

func TestPackWriterRefuses(t *testing.T) {
	s := open(t)
	for name, c := range map[string]struct {
		e       tree.Entry
		content string
		want    string
	}{
		"short content": {tree.Entry{Path: "a", Type: tree.File, Size: 3}, "ab", "1 bytes early"},
		"escape":        {tree.Entry{Path: "../a", Type: tree.Dir}, "", "path"},
		"absolute":      {tree.Entry{Path: "/a", Type: tree.Dir}, "", "path"},
		"no target":     {tree.Entry{Path: "a", Type: tree.Symlink}, "", "target"},
		"lost link":     {tree.Entry{Path: "a", Type: tree.File, Link: "b"}, "", "did not come before"},
	} {
		w, err := s.NewPackWriter(digest(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(c.e, strings.NewReader(c.content)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, c.want)
		}
		if w.Commit() == nil || s.HasPack(digest(name)) {
			t.Errorf("%s: was committed all the same", name)
		}
	}
	if left, _ := os.ReadDir(s.path("tmp")); len(left) != 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

func TestOpenPackMissing(t *testing.T) {
	if _, err := open(t).OpenPack(digest("nothing")); !errors.Is(err, ErrNotFound) {
		t.Errorf("got error %v, want ErrNotFound", err)
	}
}

func FuzzPackIndex(f *testing.F) {
	f.Add(appendIndex(nil, nil, nil, nil))
	f.Add(appendIndex(nil, []tree.Entry{{Path: "a", Type: tree.File, Size: 5}}, []int64{16},
		[]ControlFile{{Name: "control", Mode: 0o644, Data: []byte("x")}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &Pack{}
		if p.decodeIndex(b, 1000) != nil {
			return
		}
		again := appendIndex(nil, p.entries, p.offsets, p.control)
		if !bytes.Equal(b, again) {
			t.Errorf("decodes, but encodes to %x instead of %x", again, b)
		}
		for i, e := range p.entries {
			if e.Type == tree.File && p.offsets[i]+e.Size > 1000 {
				t.Errorf("entry %d reaches beyond the contents", i)
			}
		}
	})
}

// A package set of about the size of a minimal system.
func BenchmarkPackWrite(b *testing.B) {
	const files, size = 8000, 25 << 10
	s, content := open(b), bytes.Repeat([]byte("slipway "), size/8)
	b.SetBytes(files * size)
	for i := 0; b.Loop(); i++ {
		w, err := s.NewPackWriter(digest(fmt.Sprint(i)))
		if err != nil {
			b.Fatal(err)
		}
		for j := range files {
			e := tree.Entry{Path: fmt.Sprintf("usr/share/%d", j), Type: tree.File, Mode: 0o644, Size: size}
			if err := w.Add(e, bytes.NewReader(content)); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}
