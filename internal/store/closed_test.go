package store

import (
	"os"
	"path/filepath"
	"testing"
)

// Trees hold set-user-id files of a machine's ids: nobody else may reach them,
// also in a folder that somebody made for all to see.
func TestFoldersAreClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, name := range []string{"trees", "tmp", "layers", "run", "state"} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
}
