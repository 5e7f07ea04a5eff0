package deb_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"slipway/internal/distro"
	"slipway/internal/distro/deb"
	"slipway/internal/distro/deb/archive/archivetest"
	"slipway/internal/distro/distrotest"
	"slipway/internal/machine"
	"slipway/internal/store"
)

func TestConformance(t *testing.T) {
	a := archivetest.New(t)
	a.Archs = []string{runtime.GOARCH}
	a.Add(archivetest.Deb{Name: "dpkg", Version: "1.0", Architecture: runtime.GOARCH, Essential: true, Priority: "required"},
		archivetest.Deb{Name: "one", Version: "1.0", Depends: "two"}, archivetest.Deb{Name: "one", Version: "2.0", Depends: "two"},
		archivetest.Deb{Name: "two", Version: "1.0"})
	url := a.Serve()
	definition := func(t testing.TB, packages ...string) *machine.Definition {
		t.Helper()
		file := filepath.Join(t.TempDir(), "shop.yaml")
		text := fmt.Sprintf("slipway: v1\nname: shop\nsystem: debian/trixie\nbase: essential\ninit: none\nmirror: none\nrepositories: [{url: %q, suite: trixie, components: [main], signed_by: %s}]\npackages: [%q]\n",
			url, a.KeyFile(), strings.Join(packages, `", "`))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		d, err := machine.Load(file, machine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	distrotest.Run(t, distrotest.Setup{
		Family: func(s *store.Store) distro.Family { return deb.New(s) }, Definition: definition,
		Old: "one=1*", Versions: [2]string{"1.0", "2.0"},
	})
}
