package tools

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"slipway/internal/distro"
	"slipway/internal/distro/deb"
	"slipway/internal/distro/deb/archive/archivetest"
	"slipway/internal/fetch"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/store"
)

// toys is the deb family with a small archive in the place of Debian's.
type toys struct {
	*deb.Family
	url, key string
	choices  int
}

func (f *toys) definition(d *machine.Definition) *machine.Definition {
	out := *d
	out.Mirror = machine.Mirror{None: true}
	out.Repositories = []machine.Repository{{URL: f.url, Suite: "trixie", Components: []string{"main"}, SignedBy: f.key}}
	return &out
}

func (f *toys) Choose(ctx context.Context, r distro.Request) (*distro.Choice, error) {
	f.choices++
	r.Definition = f.definition(r.Definition)
	return f.Family.Choose(ctx, r)
}

func (f *toys) Items(ctx context.Context, d *machine.Definition, p []plan.Package) ([]fetch.Item, error) {
	return f.Family.Items(ctx, f.definition(d), p)
}

func (f *toys) Fetcher(d *machine.Definition) (*fetch.Fetcher, error) {
	return f.Family.Fetcher(f.definition(d))
}

// newToys makes an archive with the set "toy", and a store for it.
func newToys(t *testing.T) (*toys, *store.Store) {
	t.Helper()
	a := archivetest.New(t)
	a.Add(
		archivetest.Deb{Name: "bystander", Version: "1", Essential: true, Files: map[string]string{"/usr/bin/bystander": "no"}},
		archivetest.Deb{Name: "toy-data", Version: "2", Files: map[string]string{
			"/usr/share/toy/data": "data\n", "/usr/share/doc/toy/copyright": "text", "/lib/toy/old": "merged\n",
		}},
		archivetest.Deb{Name: "toy", Version: "3.1", Depends: "toy-data",
			Scripts: map[string]string{"postinst": "#!/bin/sh\nexit 1\n"},
			Files:   map[string]string{"/usr/bin/toy": "#!/bin/sh\necho \"$TOY_DATA $*\"\n"},
			Modes:   map[string]int64{"/usr/bin/toy": 0o4755},
			Entries: []tar.Header{
				{Name: "./usr/share/toy/absolute", Typeflag: tar.TypeSymlink, Linkname: "/usr/share/toy/data", Mode: 0o777},
				{Name: "./usr/share/toy/firmware", Typeflag: tar.TypeSymlink, Linkname: "/lib/toy/old", Mode: 0o777},
				{Name: "./usr/share/toy/one", Typeflag: tar.TypeReg, Mode: 0o755},
				{Name: "./usr/share/toy/two", Typeflag: tar.TypeLink, Linkname: "./usr/share/toy/one", Mode: 0o755},
			}},
	)
	s, err := store.Open(filepath.Join(t.TempDir(), "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	had := Sets
	Sets = append(append([]Set(nil), had...), Set{
		Name: "toy", What: "a toy", Packages: []string{"toy"}, Program: "toy", Least: "2", Env: []string{"TOY_DATA={root}/usr/share/toy/data"},
	})
	t.Cleanup(func() { Sets = had })
	return &toys{Family: deb.New(s), url: a.Serve(), key: a.KeyFile()}, s
}

func TestTree(t *testing.T) {
	family, s := newToys(t)
	tools := Open(t.Context(), Deps{Store: s, Family: family, HostRoot: t.TempDir()})
	root, err := tools.Root(t.Context(), "toy")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"/usr/share/toy/data": "data\n", "/usr/share/toy/absolute": "data\n",
		"/usr/share/toy/firmware": "merged\n", "/usr/lib/toy/old": "merged\n", "/lib/toy/old": "merged\n",
	} {
		path, err := tools.Path(t.Context(), "toy", name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if !strings.HasPrefix(path, root+"/") {
			t.Errorf("%s leads to %s, outside of the tree", name, path)
		}
	}
	for _, name := range []string{"usr/share/doc", "usr/bin/bystander"} {
		if _, err := os.Lstat(filepath.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is in the tree", name)
		}
	}
	st, err := os.Stat(filepath.Join(root, "usr/bin/toy"))
	if err != nil || st.Mode() != 0o755 {
		t.Errorf("the program: %v, %v", st.Mode(), err)
	}
	one, err1 := os.Stat(filepath.Join(root, "usr/share/toy/one"))
	if two, err := os.Stat(filepath.Join(root, "usr/share/toy/two")); errors.Join(err, err1) != nil || !os.SameFile(one, two) {
		t.Errorf("the hard link: %v", errors.Join(err, err1))
	}
	cmd, err := tools.Command(t.Context(), "toy", "toy", "one", "two")
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.Output()
	if want := root + "/usr/share/toy/data one two\n"; err != nil || string(out) != want {
		t.Errorf("the program says %q, %v; want %q", out, err, want)
	}
	if packs, _ := filepath.Glob(filepath.Join(s.Dir(), "packs", "*")); len(packs) > 0 {
		t.Errorf("packs were left: %v", packs)
	}
}

func TestSecondStartAsksNobody(t *testing.T) {
	family, s := newToys(t)
	if err := Open(t.Context(), Deps{Store: s, Family: family, OnlyTree: true}).Ensure(t.Context(), "toy"); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if err := Open(t.Context(), Deps{Store: s, OnlyTree: true, Offline: true}).Ensure(t.Context(), "toy"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(before); took > 50*time.Millisecond {
		t.Errorf("the second start took %v", took)
	}
	// A tree that is gone is made again from the same packages.
	key, _ := Open(t.Context(), Deps{Store: s, OnlyTree: true}).Key(t.Context(), "toy")
	if err := s.DropToolTree(key); err != nil {
		t.Fatal(err)
	}
	again := Open(t.Context(), Deps{Store: s, Family: family, OnlyTree: true, Offline: true})
	if got, err := again.Key(t.Context(), "toy"); err != nil || got != key {
		t.Errorf("made again: %q, %v; want %q", got, err, key)
	}
	if family.choices != 1 {
		t.Errorf("packages were chosen %d times", family.choices)
	}
}

func TestOfflineFirst(t *testing.T) {
	family, s := newToys(t)
	err := Open(t.Context(), Deps{Store: s, Family: family, OnlyTree: true, Offline: true}).Ensure(t.Context(), "toy")
	if err == nil || !strings.Contains(err.Error(), "a toy") || !strings.Contains(err.Error(), "--offline") {
		t.Errorf("got %v", err)
	}
}

// TestInterrupted kills the making at many moments: what is there is whole.
func TestInterrupted(t *testing.T) {
	family, s := newToys(t)
	whole := false
	for delay := time.Duration(0); delay < 2*time.Second && !whole; delay += 3 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), delay)
		err := Open(ctx, Deps{Store: s, Family: family, OnlyTree: true}).Ensure(ctx, "toy")
		cancel()
		trees, _ := filepath.Glob(filepath.Join(s.Dir(), "tools", "*", "tree", "usr/share/toy/data"))
		all, _ := filepath.Glob(filepath.Join(s.Dir(), "tools", "*", "tree"))
		if len(trees) != len(all) {
			t.Fatalf("after %v there is half a tree", delay)
		}
		if left, _ := filepath.Glob(filepath.Join(s.Dir(), "tmp", "tool-*")); len(left) > 0 {
			t.Fatalf("after %v there is left: %v", delay, left)
		}
		whole = err == nil
	}
	if !whole {
		t.Error("it never came to an end")
	}
}

func TestDamagedPackageIsFetchedAgain(t *testing.T) {
	family, s := newToys(t)
	tools := Open(t.Context(), Deps{Store: s, Family: family, OnlyTree: true})
	key, err := tools.Key(t.Context(), "toy")
	if err != nil {
		t.Fatal(err)
	}
	debs, _ := filepath.Glob(filepath.Join(s.Dir(), "debs", "*.deb"))
	if len(debs) != 2 {
		t.Fatalf("fetched %v, want exactly toy and toy-data", debs)
	}
	if err := errors.Join(os.WriteFile(debs[0], []byte("damage"), 0o600), s.DropToolTree(key)); err != nil {
		t.Fatal(err)
	}
	if err := Open(t.Context(), Deps{Store: s, Family: family, OnlyTree: true}).Ensure(t.Context(), "toy"); err != nil {
		t.Error(err)
	}
}

func TestHostPreferred(t *testing.T) {
	family, s := newToys(t)
	for _, c := range []struct {
		version, why string
	}{{"2.0.1", ""}, {"10", ""}, {"1.9", "older than 2"}, {"none", "names no version"}} {
		host := t.TempDir()
		program := filepath.Join(host, "usr/bin/toy")
		script := fmt.Sprintf("#!/bin/sh\necho toy version %s\n", c.version)
		if err := errors.Join(os.MkdirAll(filepath.Dir(program), 0o755), os.WriteFile(program, []byte(script), 0o755)); err != nil {
			t.Fatal(err)
		}
		tools := Open(t.Context(), Deps{Store: s, Family: family, HostRoot: host})
		place, err := tools.Where(t.Context(), "toy", true)
		if err != nil {
			t.Fatal(err)
		}
		if place.Host.Good != (c.why == "") || !strings.Contains(place.Host.Why, c.why) {
			t.Errorf("version %s: %+v", c.version, place.Host)
		}
		key, err := tools.Key(t.Context(), "toy")
		if err != nil || (key == "") != place.Host.Good {
			t.Errorf("version %s: key %q, %v", c.version, key, err)
		}
	}
}

func TestWhere(t *testing.T) {
	family, s := newToys(t)
	tools := Open(t.Context(), Deps{Store: s, Family: family, HostRoot: t.TempDir()})
	p, err := tools.Where(t.Context(), "toy", false)
	if err != nil || p.Packages != 0 || family.choices != 0 {
		t.Errorf("unasked: %+v, %v", p, err)
	}
	if p, err = tools.Where(t.Context(), "toy", true); err != nil || p.Packages != 2 || p.Fetch == 0 || p.Version != "3.1" || p.Tree != "" {
		t.Errorf("asked: %+v, %v", p, err)
	}
	if err := tools.Ensure(t.Context(), "toy"); err != nil {
		t.Fatal(err)
	}
	if p, err = tools.Where(t.Context(), "toy", false); err != nil || p.Fetch != 0 || p.Tree == "" {
		t.Errorf("made: %+v, %v", p, err)
	}
}

func TestUnknownSet(t *testing.T) {
	if err := Open(t.Context(), Deps{}).Ensure(t.Context(), "bochs"); err == nil || !strings.Contains(err.Error(), "qemu") {
		t.Errorf("got %v", err)
	}
}

func TestPlaceStaysInside(t *testing.T) {
	w := &writer{drop: dropped}
	for name, want := range map[string]string{
		"usr/bin/x": "usr/bin/x", "lib/x": "usr/lib/x", "lib64": "", "usr/share/doc/x": "", "usr/share/docs": "usr/share/docs",
		"../x": "!", "/etc/x": "!", "a/../../x": "!", "..": "!",
	} {
		got, err := w.place(name)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestLoader runs a dynamic program of the host as if it were the tree's.
func TestLoader(t *testing.T) {
	arch := hostArch()
	loader, err := filepath.EvalSymlinks(filepath.Join("/", loaders[arch]))
	if err != nil || triplets[arch] == "" {
		t.Skipf("this host has no glibc loader for %s at the usual place: %v", runtime.GOARCH, err)
	}
	echo, err := exec.LookPath("env")
	if err != nil || !interpreted(echo) {
		t.Skip("this host has no dynamic program env")
	}
	root := t.TempDir()
	lib := filepath.Join(root, "usr/lib", triplets[arch])
	libc, err := filepath.EvalSymlinks(filepath.Join("/usr/lib", triplets[arch], "libc.so.6"))
	if err != nil {
		t.Skipf("this host has no libc at the usual place: %v", err)
	}
	for from, to := range map[string]string{loader: filepath.Join(root, loaders[arch]), libc: filepath.Join(lib, "libc.so.6"), echo: filepath.Join(root, "usr/bin/env")} {
		data, err := os.ReadFile(from)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("LD_PRELOAD", "/nonexistent.so")
	s := Set{Name: "env", Env: []string{"MODULES={lib}/x"}}
	cmd, err := s.command(t.Context(), root, arch, filepath.Join(root, "usr/bin/env"), nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "MODULES="+lib+"/x\n") || strings.Contains(string(out), "LD_PRELOAD") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestDamagedTree flips, adds and replaces: each is seen at the next start, and
// mended without the network.
func TestDamagedTree(t *testing.T) {
	family, s := newToys(t)
	deps := Deps{Store: s, Family: family, OnlyTree: true}
	root, err := Open(t.Context(), deps).Root(t.Context(), "toy")
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(root, "usr/share/toy/data")
	deps.Offline = true
	for name, damage := range map[string]func() error{
		"flipped": func() error { return os.WriteFile(data, []byte("dafa\n"), 0o644) },
		"gone":    func() error { return os.Remove(data) },
		"stranger": func() error {
			return os.WriteFile(filepath.Join(root, "usr/lib/libc.so.6"), []byte("evil"), 0o755)
		},
		"redirected": func() error { return errors.Join(os.Remove(data), os.Symlink("/etc/passwd", data)) },
		"no list":    func() error { return os.Remove(filepath.Join(root, "../contents")) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if name == "no list" {
			os.Remove(filepath.Join(root, "../checked"))
		}
		if err := Open(t.Context(), deps).Ensure(t.Context(), "toy"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(data); err != nil || string(got) != "data\n" {
			t.Errorf("%s: afterwards the file holds %q, %v", name, got, err)
		}
		if _, err := os.Lstat(filepath.Join(root, "usr/lib/libc.so.6")); err == nil {
			t.Errorf("%s: the stranger is still there", name)
		}
	}
	if family.choices != 1 {
		t.Errorf("packages were chosen %d times", family.choices)
	}
}

// TestUntouchedIsNotRead: a tree whose files were only looked at is not hashed
// again, one whose boot is over is.
func TestUntouchedIsNotRead(t *testing.T) {
	family, s := newToys(t)
	tools := Open(t.Context(), Deps{Store: s, Family: family, OnlyTree: true})
	key, err := tools.Key(t.Context(), "toy")
	if err != nil || !tools.unchanged(key) {
		t.Fatalf("a new tree is not taken as it is: %v", err)
	}
	if err := s.PutToolNote(key, checkedFile, []byte("another boot")); err != nil {
		t.Fatal(err)
	}
	if tools.unchanged(key) || !tools.sound(t.Context(), &Sets[len(Sets)-1], key) || !tools.unchanged(key) {
		t.Error("after another boot it must be checked once")
	}
}
