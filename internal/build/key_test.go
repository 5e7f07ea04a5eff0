package build

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/store"
)

// Whatever changes the tree must change the key.
func TestContentDigestCovers(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	from := func(path, file string) machine.File {
		return machine.File{Path: path, From: &machine.From{File: file}}
	}
	key := func(files ...machine.File) string {
		t.Helper()
		k, err := contentDigest(&machine.Definition{Files: files}, plan.Plain)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	script, same := put("script", "x", 0o644), put("other", "x", 0o644)
	a, b := filepath.Dir(put("a/f", "1", 0o644)), filepath.Dir(put("b/g", "1", 0o644))
	link := filepath.Join(dir, "link")
	if err := os.Symlink(a, link); err != nil {
		t.Fatal(err)
	}
	keys := func() map[string]string {
		return map[string]string{
			"a file":                 key(from("/bin/x", script)),
			"a file by its own name": key(from("/bin/", script)),
			"two folders, one path":  key(from("/etc/x/", a), from("/etc/x/", b)),
			"a folder by a link":     key(from("/etc/x/", link)),
		}
	}
	before := keys()
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	put("a/f", "2", 0o644)
	for name, after := range keys() {
		if before[name] == after {
			t.Errorf("%s: changed, and the key did not", name)
		}
	}
	if key(from("/bin/", same)) == before["a file by its own name"] {
		t.Error("a file under another name has the same key")
	}
	put("a/f", "1", 0o664) // another umask
	if got := key(from("/etc/x/", a), from("/etc/x/", b)); got != before["two folders, one path"] {
		t.Error("permissions that are not copied change the key")
	}
}

func TestSecretDigestCovers(t *testing.T) {
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := &Builder{Store: s}
	dir := t.TempDir()
	for name, value := range map[string]string{"a": "\xff", "b": "\xfe", "c": "\xff"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	digests := map[string][]string{}
	for _, refs := range []string{"a", "b", "aab", "bab", "aaa", "c"} {
		var d machine.Definition
		for i, ref := range refs {
			d.Files = append(d.Files, machine.File{Path: "/" + string(rune('1'+i)), Secret: &machine.Secret{File: filepath.Join(dir, string(ref))}})
		}
		got, err := b.secretDigest(&d)
		if err != nil {
			t.Fatal(err)
		}
		digests[got] = append(digests[got], refs)
	}
	for _, same := range digests {
		if len(same) > 1 && !slices.Equal(same, []string{"a", "c"}) {
			t.Errorf("the same digest for the secrets %q", same)
		}
	}
	if len(digests) != 5 {
		t.Errorf("%d digests, want 5: %v", len(digests), slices.Collect(maps.Values(digests)))
	}
}

func TestKeyParts(t *testing.T) {
	auto := []plan.Package{{Name: "a", Version: "1", Arch: "all", Auto: true}}
	if digest(automatic(auto)) == digest(automatic([]plan.Package{{Name: "a", Version: "1", Arch: "all"}})) {
		t.Error("what may be removed again is not in the key")
	}
	if digest(exact(map[string]string{"k": "\xff"})) == digest(exact(map[string]string{"k": "\xfe"})) {
		t.Error("two keyrings have one key")
	}
}

// A file from the network has a place in the store.
func TestSourcesHaveAPlace(t *testing.T) {
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	content := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(content, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	sum, err := hashFile(content)
	if err != nil {
		t.Fatal(err)
	}
	d := &machine.Definition{Files: []machine.File{{Path: "/x", From: &machine.From{URL: "file://" + content, SHA256: sum}}}}
	got, err := (&Builder{Store: s}).fetchSources(t.Context(), d, false)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(got[sum]); err != nil || string(data) != "x" {
		t.Errorf("got %q, %v", data, err)
	}
}
