package sandbox

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFreeRangeIsNobodys(t *testing.T) {
	for _, c := range []struct {
		uids, gids string
		want       int64
	}{
		{"", "", 100000},
		{"a:100000:65536\n", "a:100000:65536\n", 165536},
		{"b:165536:65536\na:100000:65536\n", "c:231072:65536\n", 296608},
		{"a:300000:65536\nbroken\nx:y:z\n", "", 100000},
		{"a:100001:1\n", "", 100002},
	} {
		dir := t.TempDir()
		uids, gids := filepath.Join(dir, "subuid"), filepath.Join(dir, "subgid")
		os.WriteFile(uids, []byte(c.uids), 0o600)
		os.WriteFile(gids, []byte(c.gids), 0o600)
		if got := freeRange(uids, gids, filepath.Join(dir, "none")); got.Start != c.want || got.Count != idCount {
			t.Errorf("with %q and %q: %d, want %d", c.uids, c.gids, got.Start, c.want)
		}
	}
}
