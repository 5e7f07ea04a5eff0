package equal

import (
	"os"
	"path/filepath"
	"testing"

	"slipway/internal/e2e/kit"
)

// TestEqualityOfTwoBuilds has slipway build each set twice, with nothing alike
// but the lock, and wants the same bytes.
func TestEqualityOfTwoBuilds(t *testing.T) {
	kit.Tier(t, "long")
	kit.NeedArchive(t)
	w := kit.NewWorld(t)
	each(t, func(t *testing.T, s Set, release string) {
		file := filepath.Join(kit.TempDir(t), s.Name+"-"+release+".yaml")
		if err := os.WriteFile(file, []byte(s.definition(release)), 0o644); err != nil {
			t.Fatal(err)
		}
		r := w.Run("repro", file)
		if r.Status != 0 {
			t.Errorf("exit status %d:\n%s", r.Status, r.Text())
		}
		t.Logf("%.1f s: %s", r.Took.Seconds(), lastLines(r.Stdout, 1))
	})
}
