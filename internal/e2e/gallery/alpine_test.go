package gallery

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/distro/apk/apktest"
	"slipway/internal/e2e/kit"
)

// alpine is how the recipes for Alpine are tried from packages that Alpine
// signed, where its mirrors cannot be reached.
func alpine(t *testing.T) []string {
	t.Helper()
	kit.NeedMachines(t)
	repository := apktest.Packages(t)
	return []string{"--set", "mirror=none", "--set", "arch=amd64", "--set", fmt.Sprintf("repositories=[{url: \"file://%s\"}]", repository)}
}

// TestAlpine proves the recipes for Alpine in containers: OpenRC starts, a page
// is served, sshd lets the user in.
func TestAlpine(t *testing.T) {
	from := alpine(t)
	for _, name := range []string{"alpine-hello", "alpine-ssh"} {
		t.Run(name, func(t *testing.T) {
			prove(t, filepath.Join(kit.Root(), "gallery", name+".yaml"), "container", from...)
		})
	}
}

// TestAlpineVerbs: what explains builds knows this family too.
func TestAlpineVerbs(t *testing.T) {
	kit.Tier(t, "boot")
	from := alpine(t)
	w := kit.SharedWorld(t)
	file := kit.Write(t, w.Dir, "verbs.yaml", "slipway: v1\nname: verbs\nsystem: alpine/3.19\nmirror: none\npackages: [openssh]\n"+
		strings.Replace(from[5], "repositories=", "repositories: ", 1)+"\n")
	if out := w.Must("plan", file).Stdout; !strings.Contains(out, "36 packages") {
		t.Errorf("plan: %s", out)
	}
	if out := w.Must("why", file, "zlib").Stdout; !strings.Contains(out, "zlib") || !strings.Contains(out, "(") {
		t.Errorf("why: %s", out)
	}
	var size struct{ Bytes int64 }
	if err := json.Unmarshal([]byte(w.Must("size", file, "--json").Stdout), &size); err != nil || size.Bytes < 8<<20 || size.Bytes > 50<<20 {
		t.Errorf("size: %d bytes (%v)", size.Bytes, err)
	}
	w.Must("lock", file)
	w.Must("build", file, "--locked", "--offline", "-o", filepath.Join(w.Dir, "locked.tar"))
	w.Must("repro", file)
	other := kit.Write(t, w.Dir, "other.yaml", strings.Replace(mustRead(t, file), "[openssh]", "[openssh, doas]", 1))
	if r := w.Run("diff", file, other); r.Status != 1 || !strings.Contains(r.Stdout, "doas") {
		t.Errorf("diff: %d\n%s", r.Status, r.Text())
	}
}

func mustRead(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
