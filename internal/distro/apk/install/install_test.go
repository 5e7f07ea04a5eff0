package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/distro/apk/apkfile"
	"slipway/internal/distro/apk/apktest"
	"slipway/internal/store"
)

// fake is an Installer on a plain folder whose scripts only leave a trace.
type fake struct {
	*Installer
	root  string
	store *store.Store
	calls []string
	run   func(args []string, out io.Writer) error
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{root: t.TempDir()}
	var err error
	if f.store, err = store.Open(t.TempDir(), store.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	f.open(t)
	if err := f.Seed("x86_64", map[string]string{"etc/apk/repositories": "x\n"}); err != nil {
		t.Fatal(err)
	}
	return f
}

// open opens the tree's database anew.
func (f *fake) open(t *testing.T) {
	t.Helper()
	var err error
	f.Installer, err = New(Options{
		Root: f.root, Epoch: 1700000000,
		Open: func(_ context.Context, sum string) (*store.Pack, error) { return f.store.OpenPack(sum) },
		Run: func(_ context.Context, args, _ []string, out io.Writer) error {
			f.calls = append(f.calls, strings.TrimPrefix(strings.Join(args, " "), "/"+execDir+"/"))
			if f.run != nil {
				return f.run(args, out)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Installer.root.KeepOwner = os.Getuid() != 0
	t.Cleanup(f.Installer.Close)
}

func (f *fake) read(name string) string {
	b, err := os.ReadFile(filepath.Join(f.root, name))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return string(b)
}

// pack puts packages into the store.
func (f *fake) pack(t *testing.T, list ...apktest.Apk) (all []Package) {
	t.Helper()
	for _, a := range list {
		data := a.Bytes(t)
		sum := sha256.Sum256(data)
		p := Package{Name: a.Name, Version: a.Version, Arch: "x86_64", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))}
		name := filepath.Join(t.TempDir(), "x.apk")
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := apkfile.ToPack(context.Background(), f.store, name, p.SHA256, apkfile.Want{}); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// owner is the package whose file a path is, by the database on disk.
func (f *fake) owner(name string) string { return ownerIn(f.read(installedFile), name) }

func ownerIn(db, name string) string {
	pkg, dir := "", ""
	for _, line := range strings.Split(db, "\n") {
		letter, value, _ := strings.Cut(line, ":")
		switch letter {
		case "P":
			pkg = value
		case "F":
			dir = value
		case "R":
			if dir+"/"+value == name {
				return pkg
			}
		}
	}
	return ""
}

var errScript = errors.New("exit code 3")

// A script that fails ends the installation: the error names the package and
// the script and has what it said. Nothing after it happens, and no database is
// written that would call the package installed.
func TestFailingScripts(t *testing.T) {
	all := map[string]string{"pre-install": "#!/bin/sh\n", "post-install": "#!/bin/sh\n", "trigger": "#!/bin/sh\n"}
	for kind, before := range map[string][]string{
		"pre-install":  {"one-1-r0.pre-install 1-r0"},
		"post-install": {"one-1-r0.pre-install 1-r0", "one-1-r0.post-install 1-r0"},
		"trigger":      {"one-1-r0.pre-install 1-r0", "one-1-r0.post-install 1-r0", "two-1-r0.post-install 1-r0", "one-1-r0.trigger /usr /usr/bin"},
	} {
		t.Run(kind, func(t *testing.T) {
			f := newFake(t)
			list := f.pack(t,
				apktest.Apk{Name: "one", Version: "1-r0", Info: []string{"triggers = /usr /usr/*"}, Scripts: all, Files: map[string]string{"usr/bin/one": "1"}},
				apktest.Apk{Name: "two", Version: "1-r0", Scripts: map[string]string{"post-install": "#!/bin/sh\n"}, Files: map[string]string{"usr/bin/two": "2"}})
			f.run = func(args []string, out io.Writer) error {
				if strings.HasSuffix(args[0], "one-1-r0."+kind) {
					fmt.Fprintf(out, "%s cannot go on: \xff the disk is missing\n", kind)
					return errScript
				}
				return nil
			}
			err := f.Install(t.Context(), list)
			if err == nil {
				err = f.Finish(t.Context(), []string{"one", "two"}, []string{"one", "two"})
			}
			var se *ScriptError
			if !errors.As(err, &se) || !errors.Is(err, errScript) || se.Package != "one-1-r0" || se.Script != kind {
				t.Fatalf("got %v", err)
			}
			if text := err.Error(); !strings.Contains(text, kind+" cannot go on: ? the disk is missing") {
				t.Errorf("the error does not tell what the script said: %s", text)
			}
			if got := strings.Join(f.calls, "\n"); got != strings.Join(before, "\n") {
				t.Errorf("ran:\n%s\nwant:\n%s", got, strings.Join(before, "\n"))
			}
			if _, err := os.Stat(filepath.Join(f.root, "usr/bin/one")); os.IsNotExist(err) != (kind == "pre-install") {
				t.Errorf("the files of one: %v", err)
			}
			if db := f.read(installedFile); strings.Contains(db, "P:one") {
				t.Errorf("the database says:\n%s", db)
			}
			if left, _ := os.ReadDir(filepath.Join(f.root, execDir)); len(left) != 0 {
				t.Errorf("the script was left in the tree: %v", left)
			}
		})
	}
}

// A script may change the tree under the installer: what it made of a folder
// is followed inside the tree only, and accounts that it made are known.
func TestScriptsChangeTheTree(t *testing.T) {
	f := newFake(t)
	outside := t.TempDir()
	list := f.pack(t,
		apktest.Apk{Name: "one", Version: "1-r0", Scripts: map[string]string{"post-install": "#!/bin/sh\n"}, Files: map[string]string{"srv/one": "1"}},
		apktest.Apk{Name: "two", Version: "1-r0", Files: map[string]string{"opt/two": "2"}})
	f.run = func([]string, io.Writer) error { return os.Symlink(outside, filepath.Join(f.root, "opt")) }
	err := f.Install(t.Context(), list)
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Fatalf("written outside of the tree: %v (%v)", left, err)
	}
	if err == nil {
		t.Error("a folder that leads nowhere was taken")
	}
}

// collision is two packages with one file.
type collision struct {
	name        string
	first, then apktest.Apk
	owner       string // "": neither replaces the other
}

func collisions() []collision {
	one := apktest.Apk{Name: "one", Version: "1-r0", Files: map[string]string{"usr/shared": "of one"}}
	two := apktest.Apk{Name: "two", Version: "2-r0", Files: map[string]string{"usr/shared": "of two"}}
	with := func(a apktest.Apk, info ...string) apktest.Apk { a.Info = info; return a }
	return []collision{
		{"strangers", one, two, ""},
		{"one origin", with(one, "origin = both"), with(two, "origin = both"), "two"},
		{"the second replaces", one, with(two, "replaces = one"), "two"},
		{"the second replaces this version", one, with(two, "replaces = one=1-r0"), "two"},
		{"the second replaces an older one", one, with(two, "replaces = one<1-r0"), ""},
		{"the second replaces another", one, with(two, "replaces = three"), ""},
		{"the first replaces", with(one, "replaces = two"), two, "one"},
		{"both replace", with(one, "replaces = two"), with(two, "replaces = one"), "two"},
		{"the first with priority", with(one, "replaces = two", "replaces_priority = 5"), with(two, "replaces = one", "replaces_priority = 4"), "one"},
		{"the second with priority", with(one, "replaces = two", "replaces_priority = 4"), with(two, "replaces = one", "replaces_priority = 5"), "two"},
	}
}

// Two packages with one file: the rules of apk, and an error where it has one.
func TestCollisions(t *testing.T) {
	for _, c := range collisions() {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			err := f.Install(t.Context(), f.pack(t, c.first, c.then))
			if c.owner == "" {
				var conflict *ConflictError
				if !errors.As(err, &conflict) || conflict.Path != "usr/shared" || conflict.Owner != "one-1-r0" || !strings.Contains(err.Error(), "two-2-r0") {
					t.Errorf("got %v", err)
				}
				if f.read("usr/shared") != "of one" {
					t.Errorf("the first package's file was changed: %s", f.read("usr/shared"))
				}
				return
			}
			if err == nil {
				err = f.Finish(t.Context(), []string{"one", "two"}, []string{"one", "two"})
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := f.owner("usr/shared"); got != c.owner || f.read("usr/shared") != "of "+c.owner {
				t.Errorf("the file is %q and is owned by %q, want that of %s", f.read("usr/shared"), got, c.owner)
			}
		})
	}
}

// The real apk judges the same collisions. One that we refuse it reports, and
// goes on.
func TestCollisionsAsApk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("apk gives files away and changes its root: needs root")
	}
	judge := apktest.NewJudge(t)
	for _, c := range collisions() {
		t.Run(c.name, func(t *testing.T) {
			root, dir := judge.Root(t), t.TempDir()
			judge.Run(t, "--root", root, "--initdb", "--arch", "x86_64", "--no-network", "add")
			var out []byte
			var err error
			for _, a := range []apktest.Apk{c.first, c.then} {
				file := filepath.Join(dir, a.Name+"-"+a.Version+".apk")
				if werr := os.WriteFile(file, a.Bytes(t), 0o644); werr != nil {
					t.Fatal(werr)
				}
				out, err = judge.Command("--root", root, "--no-network", "--allow-untrusted", "--repositories-file", "/dev/null", "add", file).CombinedOutput()
			}
			if (err != nil) != (c.owner == "") || c.owner == "" && !strings.Contains(string(out), "trying to overwrite usr/shared owned by one-1-r0") {
				t.Errorf("apk says: %v\n%s", err, out)
			}
			db, _ := os.ReadFile(filepath.Join(root, installedFile))
			content, _ := os.ReadFile(filepath.Join(root, "usr/shared"))
			if c.owner != "" && (ownerIn(string(db), "usr/shared") != c.owner || string(content) != "of "+c.owner) {
				t.Errorf("apk has %q of %s, we %s", content, ownerIn(string(db), "usr/shared"), c.owner)
			}
		})
	}
}

// A file that was in /etc before any package stays; the package's lies beside it.
func TestProtectedFile(t *testing.T) {
	f := newFake(t)
	if err := os.WriteFile(filepath.Join(f.root, "etc/one.conf"), []byte("the operator's"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.Install(t.Context(), f.pack(t, apktest.Apk{Name: "one", Version: "1-r0", Files: map[string]string{"etc/one.conf": "the package's"}})); err != nil {
		t.Fatal(err)
	}
	if f.read("etc/one.conf") != "the operator's" || f.read("etc/one.conf.apk-new") != "the package's" {
		t.Errorf("%q and %q", f.read("etc/one.conf"), f.read("etc/one.conf.apk-new"))
	}
}

// What a tree already is, or a pack is not, is refused by name.
func TestRefused(t *testing.T) {
	f := newFake(t)
	one := apktest.Apk{Name: "one", Version: "1-r0", Files: map[string]string{"usr/one": "1"}}
	list := f.pack(t, one)
	if err := f.Install(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if err := f.Finish(t.Context(), []string{"one"}, []string{"one"}); err != nil {
		t.Fatal(err)
	}
	f.open(t) // it is known from the database, too
	newer := one
	newer.Version = "2-r0"
	for want, p := range map[string]Package{
		"one-1-r0 is already installed": f.pack(t, newer)[0],
		"want other-1-r0":               {Name: "other", Version: "1-r0", SHA256: list[0].SHA256},
		"not in the store":              {Name: "absent", Version: "1-r0", SHA256: strings.Repeat("ab", 32)},
	} {
		if err := f.Install(t.Context(), []Package{p}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", p.Name, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Install(ctx, f.pack(t, apktest.Apk{Name: "late", Version: "1-r0"})); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A damaged database stops everything before the tree is touched.
func TestDamagedDatabase(t *testing.T) {
	for name, text := range map[string]string{
		"file without folder": "P:one\nV:1\nR:x\n\n", "bad mode": "P:one\nV:1\nF:usr\nM:0:0:9999\n\n",
		"path as a name": "P:one\nV:1\nF:usr\nR:../x\n\n", "sum without file": "P:one\nV:1\nF:usr\nZ:Q1AA\n\n", "no name": "V:1\nF:usr\n\n",
	} {
		f := newFake(t)
		if err := os.WriteFile(filepath.Join(f.root, installedFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := New(Options{Root: f.root})
		if err == nil || !strings.Contains(err.Error(), "/"+installedFile) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A link in the tree does not lead a package's files out of it.
func TestLinkOutside(t *testing.T) {
	outside := t.TempDir()
	f := newFake(t)
	list := f.pack(t,
		apktest.Apk{Name: "one", Version: "1-r0", Files: map[string]string{"usr/way": "-> " + outside, "usr/up": "-> ../../../../../../.." + outside}},
		apktest.Apk{Name: "two", Version: "1-r0", Files: map[string]string{"usr/way/x": "x"}},
		apktest.Apk{Name: "three", Version: "1-r0", Files: map[string]string{"usr/up/x": "x"}})
	for _, p := range list {
		err := f.Install(t.Context(), []Package{p})
		if left, _ := os.ReadDir(outside); len(left) != 0 {
			t.Fatalf("%s has written outside of the tree: %v (%v)", p.Name, left, err)
		}
	}
}
