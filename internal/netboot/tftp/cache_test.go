package tftp

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestFilesAreSentAsTheyAreNow: files kept in memory are those that are there,
// and what leads out of the folder is not opened.
func TestFilesAreSentAsTheyAreNow(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var c cache
	read := func() []byte {
		f, err := OpenFile(root, "f")
		if err != nil {
			t.Fatal(err)
		}
		f = c.hold(f)
		defer f.Close()
		b := make([]byte, f.Size())
		f.ReadAt(b, 0)
		return b
	}
	path := filepath.Join(dir, "f")
	for i := range 40 {
		want := bytes.Repeat([]byte{byte(i)}, 1<<20+i)
		if i%2 == 0 {
			os.WriteFile(path+".new", want, 0o600)
			os.Rename(path+".new", path)
		} else if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(read(), want) || !bytes.Equal(read(), want) {
			t.Fatalf("version %d is another one", i)
		}
		if c.used > maxCache {
			t.Fatalf("%d bytes are kept", c.used)
		}
	}
	os.Symlink("/etc/passwd", filepath.Join(dir, "link"))
	for _, name := range []string{"link", "../" + filepath.Base(dir) + "/f", ".", "none"} {
		if f, err := OpenFile(root, name); err == nil {
			f.Close()
			t.Errorf("%s was opened", name)
		}
	}
}
