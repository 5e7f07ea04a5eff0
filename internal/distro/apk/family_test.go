package apk_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/distro"
	"slipway/internal/distro/apk"
	"slipway/internal/distro/apk/apkfile"
	"slipway/internal/distro/apk/apktest"
	"slipway/internal/distro/apk/archive"
	"slipway/internal/distro/distrotest"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/store"
)

// shop is a small repository and definitions of machines from it.
type shop struct {
	dir, url, keyFile string
	key               *apktest.Key
	packages          []apktest.Apk
}

func newShop(t testing.TB) *shop {
	s := &shop{dir: t.TempDir(), key: apktest.NewKey(t, "shop.rsa.pub")}
	s.keyFile = filepath.Join(s.dir, s.key.Name)
	if err := os.WriteFile(s.keyFile, s.key.PEM(t), 0o644); err != nil {
		t.Fatal(err)
	}
	two := apktest.Apk{Name: "two", Version: "1-r0", Files: map[string]string{"usr/lib/two": "2"}, Key: s.key}
	one := apktest.Apk{Name: "one", Version: "1-r0", Info: []string{"depend = two"}, Files: map[string]string{"usr/bin/one": "1"}, Key: s.key}
	newer := one
	newer.Version = "2-r0"
	s.publish(t, one, newer, two)
	return s
}

func (s *shop) publish(t testing.TB, packages ...apktest.Apk) {
	s.packages = append(s.packages, packages...)
	s.url = apktest.Repository(t, s.dir, s.key, s.packages...)
}

func (s *shop) definition(t testing.TB, packages ...string) *machine.Definition {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shop.yaml")
	text := fmt.Sprintf("slipway: v1\nname: shop\nsystem: alpine/3.19\narch: amd64\nbase: empty\ninit: none\nmirror: none\nrepositories: [{url: %q, signed_by: %s}]\npackages: [%q]\n",
		s.url, s.keyFile, strings.Join(packages, `", "`))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := machine.Load(file, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	s := newShop(t)
	distrotest.Run(t, distrotest.Setup{
		Family: func(st *store.Store) distro.Family { return apk.New(st) }, Definition: s.definition,
		Old: "one=1*", Versions: [2]string{"1-r0", "2-r0"},
	})
}

func choose(t *testing.T, d *machine.Definition) (*distro.Choice, error) {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return apk.New(st).Choose(t.Context(), distro.Request{Definition: d, Class: plan.Plain})
}

// TestBadRepositories: what is not signed, forged, damaged or another file than
// the index says is refused, and says so.
func TestBadRepositories(t *testing.T) {
	apkFile := func(s *shop) string { return filepath.Join(s.dir, "x86_64/one-2-r0.apk") }
	indexFile := func(s *shop) string { return filepath.Join(s.dir, "x86_64/APKINDEX.tar.gz") }
	write := func(t *testing.T, path string, data []byte) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		harm func(t *testing.T, s *shop)
		want error
		text string
	}{
		"unsigned": {func(t *testing.T, s *shop) { write(t, indexFile(s), apktest.Index(t, nil, "")) }, apkfile.ErrSignature, "not signed"},
		"a stranger's": {func(t *testing.T, s *shop) {
			write(t, indexFile(s), apktest.Index(t, apktest.NewKey(t, "stranger.rsa.pub"), ""))
		}, apkfile.ErrSignature, "stranger"},
		"forged": {func(t *testing.T, s *shop) {
			write(t, indexFile(s), apktest.Index(t, apktest.NewKey(t, s.key.Name), ""))
		}, apkfile.ErrSignature, "does not fit"},
		"truncated index": {func(t *testing.T, s *shop) {
			data, _ := os.ReadFile(indexFile(s))
			write(t, indexFile(s), data[:len(data)-20])
		}, apkfile.ErrSignature, ""},
		"no index":   {func(t *testing.T, s *shop) { os.Remove(indexFile(s)) }, archive.ErrMissing, "APKINDEX"},
		"no package": {func(t *testing.T, s *shop) { os.Remove(apkFile(s)) }, nil, "--refresh"},
		"truncated package": {func(t *testing.T, s *shop) {
			data, _ := os.ReadFile(apkFile(s))
			write(t, apkFile(s), data[:len(data)-30])
		}, apkfile.ErrMismatch, "bytes"},
		"another package": {func(t *testing.T, s *shop) {
			data, _ := os.ReadFile(apkFile(s))
			data[len(data)-12] ^= 1
			write(t, apkFile(s), data)
		}, apkfile.ErrMismatch, "SHA-256"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			c.harm(t, s)
			_, err := choose(t, s.definition(t, "one"))
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
}

// A machine of an architecture that the repository, or Alpine, has not.
func TestMissingArchitecture(t *testing.T) {
	for arch, want := range map[string]string{"arm64": "aarch64/APKINDEX", "s390x": "there is no s390x/APKINDEX", "mips": "no architecture"} {
		s := newShop(t)
		d := s.definition(t, "one")
		d.Arch = arch
		_, err := choose(t, d)
		if err == nil || !strings.Contains(err.Error(), want) || arch != "mips" && !errors.Is(err, archive.ErrMissing) {
			t.Errorf("%s: got %v, want %q", arch, err, want)
		}
	}
}

// A package of the machine's repository that is for another architecture.
func TestForeignLocalPackage(t *testing.T) {
	s := newShop(t)
	local := filepath.Join(t.TempDir(), "own.apk")
	own := apktest.Apk{Name: "own", Version: "1-r0", Info: []string{"arch = aarch64"}, Files: map[string]string{"opt/own": "x"}}
	if err := os.WriteFile(local, own.Bytes(t), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := choose(t, s.definition(t, local)); err == nil || !strings.Contains(err.Error(), "is for aarch64, the machine is x86_64") {
		t.Errorf("got %v", err)
	}
}

// An index that is older than one seen before is refused.
func TestRollback(t *testing.T) {
	s := newShop(t)
	keys, err := archive.ReadKey(s.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	f, err := apk.New(nil).Fetcher(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := archive.Config{Arch: "x86_64", CacheDir: t.TempDir(), Fetcher: f, MaxAge: -1, Sources: []archive.Source{{Base: s.url, Official: s.url, Name: "shop", Keys: keys}}}
	path := filepath.Join(s.dir, "x86_64/APKINDEX.tar.gz")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entry := strings.Replace(s.packages[0].Entry(t), "t:1700000000", "t:1700009999", 1)
	if err := os.WriteFile(path, apktest.Index(t, s.key, entry), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, old, 0o644); err != nil {
		t.Fatal(err)
	}
	os.Chtimes(path, time.Now(), time.Now().Add(time.Minute))
	if _, err := archive.Open(t.Context(), c); !errors.Is(err, archive.ErrRollback) {
		t.Errorf("an older index gave %v", err)
	}
}

// A local package that nobody signed is taken when it is named, and only then.
func TestLocalPackage(t *testing.T) {
	s := newShop(t)
	local := filepath.Join(t.TempDir(), "own.apk")
	own := apktest.Apk{Name: "own", Version: "1-r0", Info: []string{"depend = one"}, Files: map[string]string{"opt/own": "x"}}
	if err := os.WriteFile(local, own.Bytes(t), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := choose(t, s.definition(t, local))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Lock.Packages) != 3 || !strings.Contains(strings.Join(c.Notes, "\n"), "own-1-r0 is taken because") {
		t.Errorf("%d packages, notes %q", len(c.Lock.Packages), c.Notes)
	}
	forged := *s.key
	forged.Private = apktest.NewKey(t, "x").Private
	own.Key = &forged
	if err := os.WriteFile(local, own.Bytes(t), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := choose(t, s.definition(t, local)); !errors.Is(err, apkfile.ErrSignature) {
		t.Errorf("a forged local package gave %v", err)
	}
}

// A mirror is a folder in Alpine's layout, with the release or without; a lock
// names packages the same in both.
func TestMirror(t *testing.T) {
	from := apktest.Packages(t)
	var locks []string
	for _, release := range []string{"v3.19/", ""} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, release), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(from, filepath.Join(dir, release, "main")); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "m.yaml")
		text := "slipway: v1\nname: m\nsystem: alpine/3.19\narch: amd64\ninit: none\nmirror: file://" + dir + "\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		d, err := machine.Load(file, machine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := choose(t, d)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(c.Notes, "\n"), "community of alpine/3.19 is not at") {
			t.Errorf("notes: %q", c.Notes)
		}
		locks = append(locks, string(c.Lock.Encode()))
		items, err := apk.New(nil).Items(t.Context(), d, c.Lock.Packages)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range items {
			if _, err := os.Stat(strings.TrimPrefix(it.URLs[0], "file://")); err != nil {
				t.Errorf("%s: %v", it.Name, err)
			}
		}
	}
	if locks[0] != locks[1] || !strings.Contains(locks[0], `"v3.19/main/x86_64/busybox-1.36.1-r15.apk"`) {
		t.Errorf("two layouts of one mirror give two locks, or other names: %s", locks[0])
	}
}
