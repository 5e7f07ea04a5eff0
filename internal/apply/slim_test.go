package apply

import (
	"os"
	"path/filepath"
	"testing"

	"slipway/internal/machine"
)

func TestSlim(t *testing.T) {
	f := newFixture(t)
	kept := []string{"/usr/share/doc/a/copyright", "/usr/share/locale/de/x.mo", "/usr/share/locale/locale.alias", "/usr/share/man2", "/srv/outside"}
	gone := []string{"/usr/share/doc/a/changelog.gz", "/usr/share/doc/b/README", "/usr/share/man/man1/a.1.gz", "/usr/share/locale/fr/x.mo",
		"/usr/share/info/dir", "/var/lib/apt/lists/partial/x"}
	for _, p := range append(kept, gone...) {
		f.put(p, "x")
	}
	f.put("/etc/dpkg/dpkg.cfg.d/x", "")
	f.link("/srv", "/usr/share/doc/out") // the link goes, not what it points to
	d := &machine.Definition{Slim: []string{"docs", "man", "info", "locales", "apt_lists"}, Locale: "de_DE.UTF-8"}
	j, err := openRoot(f.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	if err := applySlim(t.Context(), &job{root: j, dir: f.dir, def: d, env: f.env}); err == nil {
		_, err = os.Lstat(filepath.Join(f.dir, "usr/share/doc/out"))
		if err == nil {
			t.Error("the link is still there")
		}
	} else if os.Geteuid() == 0 {
		t.Fatal(err)
	}
	for _, p := range kept {
		if _, err := os.Lstat(filepath.Join(f.dir, p)); err != nil {
			t.Error(err)
		}
	}
	for _, p := range append(gone, "/usr/share/doc/b", "/usr/share/man/man1") {
		if _, err := os.Lstat(filepath.Join(f.dir, p)); err == nil {
			t.Errorf("%s is still there", p)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(f.dir, "etc/dpkg/dpkg.cfg.d/slipway-slim")); len(b) == 0 && os.Geteuid() == 0 {
		t.Error("dpkg is told nothing")
	}
}
