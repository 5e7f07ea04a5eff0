package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/internal/distro/deb/debfile"
	"slipway/internal/distro/deb/debfile/debtest"
	"slipway/internal/distro/intree"
	"slipway/internal/store"
)

// call is one program that an Installer ran.
type call struct {
	args, env []string
	stdin     string
	status    string // the database at that moment
}

// fake is an Installer on a plain folder whose programs only leave a trace.
type fake struct {
	*Installer
	root  string
	store *store.Store
	calls []call
	run   func(args []string, out io.Writer) error
}

func newFake(t *testing.T, opt Options) *fake {
	t.Helper()
	f := &fake{root: t.TempDir()}
	var err error
	if f.store, err = store.Open(t.TempDir(), store.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	opt.Root, opt.Arch = f.root, "amd64"
	opt.Open = func(_ context.Context, sum string) (*store.Pack, error) { return f.store.OpenPack(sum) }
	opt.Run = func(ctx context.Context, args, env []string, stdin io.Reader, out io.Writer) error {
		c := call{args: args, env: env, status: f.read("var/lib/dpkg/status")}
		if stdin != nil {
			b, _ := io.ReadAll(stdin)
			c.stdin = string(b)
		}
		f.calls = append(f.calls, c)
		if f.run != nil {
			return f.run(args, out)
		}
		return nil
	}
	if f.Installer, err = New(opt); err != nil {
		t.Fatal(err)
	}
	f.Installer.root.KeepOwner = os.Getuid() != 0
	t.Cleanup(f.Installer.Close)
	if err := f.Seed(SeedConfig{Sources: map[string]string{"etc/apt/sources.list": "deb x\n"}}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fake) read(name string) string {
	b, err := os.ReadFile(filepath.Join(f.root, name))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return string(b)
}

func (f *fake) pack(t *testing.T, debs ...debtest.Deb) (all []Package) {
	t.Helper()
	for _, d := range debs {
		name := filepath.Join(t.TempDir(), "x.deb")
		if err := os.WriteFile(name, d.Build(), 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := debfile.Control(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := debfile.ToPack(context.Background(), f.store, name, p.SHA256, debfile.WantOf(p)); err != nil {
			t.Fatal(err)
		}
		all = append(all, Package{p.Name, p.Version, p.Architecture, p.SHA256})
	}
	return all
}

func TestSeed(t *testing.T) {
	f := newFake(t, Options{Foreign: []string{"i386", "arm64"}})
	if got := f.read("var/lib/dpkg/arch"); got != "amd64\ni386\narm64\n" {
		t.Errorf("architectures %q", got)
	}
	st, err := os.Stat(f.root + "/tmp")
	if err != nil || st.Mode() != os.ModeDir|os.ModeSticky|0o777 {
		t.Errorf("/tmp: %v %v", st.Mode(), err)
	}
	if f.read("etc/apt/sources.list") != "deb x\n" || f.read("etc/fstab") == "" {
		t.Error("sources or fstab are missing")
	}
}

func TestPreinst(t *testing.T) {
	f := newFake(t, Options{Epoch: 42, SkipInitramfs: true})
	packages := f.pack(t, debtest.Deb{Name: "pp", Version: "2", Members: map[string]string{"preinst": "#!/bin/sh\n"},
		Entries: []debtest.Entry{{Name: "./"}, {Name: "./file", Data: "x"}}})
	during := ""
	f.run = func([]string, io.Writer) error {
		_, err := os.Stat(f.root + "/file")
		during = fmt.Sprint(os.IsNotExist(err), f.read("var/lib/dpkg/tmp.ci/preinst"))
		return nil
	}
	if err := f.Unpack(context.Background(), packages); err != nil {
		t.Fatal(err)
	}
	c := f.calls[0]
	if !reflect.DeepEqual(c.args, []string{"/var/lib/dpkg/tmp.ci/preinst", "install"}) || during != "true#!/bin/sh\n" {
		t.Errorf("ran %q, %s", c.args, during)
	}
	for _, want := range []string{"DPKG_MAINTSCRIPT_PACKAGE=pp", "DPKG_MAINTSCRIPT_NAME=preinst", "DPKG_MAINTSCRIPT_ARCH=all",
		"DPKG_ROOT=", "DEBIAN_FRONTEND=noninteractive", "SOURCE_DATE_EPOCH=42", "INITRD=No"} {
		if !contains(c.env, want) {
			t.Errorf("the environment has no %s: %q", want, c.env)
		}
	}
	if !strings.Contains(c.status, "Package: pp\nStatus: install reinstreq half-installed\n") {
		t.Errorf("the database said %q", c.status)
	}
	if s := f.read("var/lib/dpkg/status"); !strings.Contains(s, "Status: install ok unpacked\n") {
		t.Errorf("afterwards %q", s)
	}
	if _, err := os.Stat(f.root + "/var/lib/dpkg/tmp.ci"); !os.IsNotExist(err) {
		t.Error("tmp.ci was left")
	}
	if got := f.read("var/lib/dpkg/info/pp.list"); got != "/.\n/file\n" {
		t.Errorf("list %q", got)
	}
}

type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }
func (e exit) ExitCode() int { return int(e) }

func TestScriptErrors(t *testing.T) {
	f := newFake(t, Options{})
	packages := f.pack(t, debtest.Deb{Name: "bad", Members: map[string]string{"preinst": "#!/bin/sh\n"}})
	f.run = func(_ []string, out io.Writer) error {
		fmt.Fprintln(out, "cannot do this")
		return exit(7)
	}
	err := f.Unpack(context.Background(), packages)
	var s *ScriptError
	if !errors.As(err, &s) || s.Package != "bad" || s.Script != "preinst" || s.ExitCode != 7 || s.Output != "cannot do this" {
		t.Fatalf("%#v", err)
	}
	if f.Configure(context.Background(), packages) == nil || f.InstallBase(context.Background(), packages) != ErrNoDpkg {
		t.Error("a tree without dpkg is configured")
	}
	os.MkdirAll(f.root+"/usr/bin", 0o755)
	os.WriteFile(f.root+"/usr/bin/dpkg", nil, 0o755)
	f.run = func(_ []string, out io.Writer) error {
		fmt.Fprint(out, "Setting up good (1) ...\nsomething\ndpkg: error processing package bad:amd64 (--configure):\n"+
			" installed bad package post-installation script subprocess returned error exit status 3\n")
		return exit(1)
	}
	err = f.Configure(context.Background(), packages)
	if !errors.As(err, &s) || s.Package != "bad" || s.Script != "postinst" || s.ExitCode != 3 {
		t.Fatalf("%#v", err)
	}
	if text := err.Error(); !strings.HasPrefix(text, "running postinst of bad: exit status 3; its last lines:\n  Setting up good") {
		t.Error(text)
	}
}

func TestTimeout(t *testing.T) {
	f := newFake(t, Options{Timeout: 10 * time.Millisecond})
	packages := f.pack(t, debtest.Deb{Name: "slow", Members: map[string]string{"preinst": "#!/bin/sh\n"}})
	f.run = func([]string, io.Writer) error { time.Sleep(30 * time.Millisecond); return exit(-1) }
	if err := f.Unpack(context.Background(), packages); err == nil || !strings.Contains(err.Error(), "did not end in time") {
		t.Error(err)
	}
}

// TestEscape: links in the tree lead nowhere else, whatever a package says.
func TestEscape(t *testing.T) {
	outside := t.TempDir()
	f := newFake(t, Options{})
	packages := f.pack(t, debtest.Deb{Name: "evil", Entries: []debtest.Entry{{Name: "./"},
		{Name: "./out", Symlink: outside}, {Name: "./up", Symlink: "../../../../../../../../" + outside}}},
		debtest.Deb{Name: "evil2", Entries: []debtest.Entry{{Name: "./out/file", Data: "x"}}},
		debtest.Deb{Name: "evil3", Entries: []debtest.Entry{{Name: "./up/file", Data: "x"}}})
	if err := f.Unpack(context.Background(), packages[:1]); err != nil {
		t.Fatal(err)
	}
	for _, p := range packages[1:] {
		if err := f.Unpack(context.Background(), []Package{p}); err == nil || !strings.Contains(err.Error(), "unpacking "+p.Name) {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	if names, _ := os.ReadDir(outside); len(names) > 0 {
		t.Errorf("written outside: %v", names)
	}
}

// The id behind the tree's own stands for the caller in a worker.
func TestForeignOwner(t *testing.T) {
	for _, e := range []debtest.Entry{{Name: "./x", Data: "x", UID: 65536, Mode: 0o4755}, {Name: "./d/", UID: 65536}, {Name: "./l", Symlink: "x", UID: 65536}} {
		f := newFake(t, Options{})
		p := f.pack(t, debtest.Deb{Name: "evil", Entries: []debtest.Entry{{Name: "./"}, e}})
		err := f.Unpack(context.Background(), p)
		if err == nil || !strings.Contains(err.Error(), "outside the ids 0 to 65535") {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
}

func TestFifoAsDatabase(t *testing.T) {
	f := newFake(t, Options{})
	if err := os.MkdirAll(filepath.Join(f.root, adminDir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{statusFile, statusFile + "-new"} {
		os.Remove(filepath.Join(f.root, name))
		if err := syscall.Mkfifo(filepath.Join(f.root, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Installer.root.Read(statusFile); err == nil {
		t.Error("a fifo was read as the database")
	}
	if err := f.Installer.root.Write(statusFile, []byte("x"), 0o644); err == nil {
		t.Error("a fifo was written as the database")
	}
}

func TestGuardAndFinish(t *testing.T) {
	f := newFake(t, Options{})
	for _, dir := range []string{"usr/sbin", "run/lock", "run/x/y", "tmp/z", "var/log/apt"} {
		os.MkdirAll(filepath.Join(f.root, dir), 0o755)
	}
	os.Symlink("usr/sbin", f.root+"/sbin")
	os.WriteFile(f.root+"/usr/sbin/start-stop-daemon", []byte("real"), 0o755)
	os.WriteFile(f.root+"/var/log/dpkg.log", []byte("x"), 0o644)
	os.WriteFile(f.root+"/etc/machine-id", []byte("x"), 0o444)
	release, err := f.Guard()
	if err != nil {
		t.Fatal(err)
	}
	if f.read("usr/sbin/policy-rc.d") != "#!/bin/sh\nexit 101\n" || f.read("usr/sbin/start-stop-daemon") == "real" {
		t.Error("services can start")
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if f.read("usr/sbin/start-stop-daemon") != "real" {
		t.Error("start-stop-daemon was not put back")
	}
	for range 2 {
		if err := f.Finish(); err != nil {
			t.Fatal(err)
		}
	}
	for _, gone := range []string{"usr/sbin/policy-rc.d", "run/x", "tmp/z", "var/log/dpkg.log", "sbin/start-stop-daemon.REAL"} {
		if _, err := os.Lstat(filepath.Join(f.root, gone)); err == nil {
			t.Errorf("%s was left", gone)
		}
	}
	if f.read("etc/machine-id") != "" {
		t.Error("the machine's identity was left")
	}
	if _, err := os.Stat(f.root + "/run/lock"); err != nil {
		t.Error(err)
	}
}

func TestMarkAuto(t *testing.T) {
	f := newFake(t, Options{})
	mark := func(names ...string) {
		t.Helper()
		var all []Package
		for _, n := range names {
			all = append(all, Package{Name: n, Arch: "all"})
		}
		if err := f.MarkAuto(all); err != nil {
			t.Fatal(err)
		}
	}
	mark()
	if _, err := os.Stat(f.root + "/" + extendedStates); !os.IsNotExist(err) {
		t.Error("a file without packages was made")
	}
	mark("libstdc++6", "sqv", "libhogweed6t64") // apt's own order of these differs from the names'
	mark("sqv", "zlib1g")
	var got []string
	for _, line := range strings.Split(f.read(extendedStates), "\n") {
		if name, ok := strings.CutPrefix(line, "Package: "); ok {
			got = append(got, name)
		}
	}
	if want := []string{"libhogweed6t64", "sqv", "libstdc++6", "zlib1g"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.HasPrefix(f.read(extendedStates), "Package: libhogweed6t64\nArchitecture: amd64\nAuto-Installed: 1\n\n") {
		t.Error(f.read(extendedStates))
	}
}

func TestPreseed(t *testing.T) {
	f := newFake(t, Options{})
	packages := f.pack(t, debtest.Deb{Name: "mail", Members: map[string]string{
		"templates": "Template: mail/kind\nType: select\nChoices: a, b\nDescription: x\n\nTemplate: mail/yes\nType: boolean\n"}})
	answers := map[string]string{"mail/kind": "Local only", "other mail/yes": "true", "new/thing": "x y"}
	if err := f.Preseed(context.Background(), answers, packages...); err == nil || !strings.Contains(err.Error(), "no debconf") {
		t.Error(err)
	}
	os.MkdirAll(f.root+"/usr/bin", 0o755)
	os.WriteFile(f.root+"/usr/bin/debconf-set-selections", nil, 0o755)
	if err := f.Preseed(context.Background(), answers, packages...); err != nil {
		t.Fatal(err)
	}
	want := "mail mail/kind select Local only\nnew new/thing string x y\nother mail/yes boolean true\n"
	if got := f.calls[0].stdin; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, bad := range []string{"noslash", "a\nb/c", "a b c/d", ""} {
		if err := f.Preseed(context.Background(), map[string]string{bad: "x"}); err == nil {
			t.Errorf("question %q is accepted", bad)
		}
	}
}

func TestIDs(t *testing.T) {
	f := newFake(t, Options{})
	os.WriteFile(f.root+"/etc/passwd", []byte("root:x:0:0::/:/bin/sh\nweb:x:101:102::/:/bin/sh\n+nis\n"), 0o644)
	os.WriteFile(f.root+"/etc/group", []byte("root:x:0:\nweb:x:102:\n"), 0o644)
	users, groups, err := f.IDMap()
	if err != nil || !reflect.DeepEqual(users, map[string]int{"root": 0, "web": 101}) || groups["web"] != 102 {
		t.Error(users, groups, err)
	}
	changes, err := f.CompareIDs(map[string]int{"web": 100, "gone": 5, "root": 0}, map[string]int{"web": 102})
	if err != nil || len(changes) != 1 || changes[0].String() != "user web was 100 in an earlier build and is 101 now" {
		t.Error(changes, err)
	}
}

// TestKernelsLast: what needs a kernel waits with it, and the others keep
// dpkg's order.
func TestKernelsLast(t *testing.T) {
	f := newFake(t, Options{})
	packages := f.pack(t,
		debtest.Deb{Name: "linux-image-6"}, debtest.Deb{Name: "linux-image-cloud", Fields: "Depends: linux-image-6 (= 1)\n"},
		debtest.Deb{Name: "module", Fields: "Pre-Depends: x | linux-image-cloud:any (>= 2)\n"},
		debtest.Deb{Name: "runit-helper"}, debtest.Deb{Name: "libpipeline1", Fields: "Suggests: linux-image-6\n"},
		debtest.Deb{Name: "cpio"}, debtest.Deb{Name: "libexpat1"})
	if err := f.Unpack(context.Background(), packages); err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(f.root+"/usr/bin", 0o755)
	os.WriteFile(f.root+"/usr/bin/dpkg", nil, 0o755)
	if err := f.ConfigurePending(context.Background()); err == nil || !strings.Contains(err.Error(), "is only unpacked") {
		t.Error(err)
	}
	var first []string
	for _, a := range f.calls[0].args {
		if name, ok := strings.CutSuffix(a, ":all"); ok {
			first = append(first, name)
		}
	}
	// The order is the one in which dpkg 1.22 configured these.
	if want := []string{"libexpat1", "cpio", "libpipeline1", "runit-helper"}; !reflect.DeepEqual(first, want) {
		t.Errorf("first call configures %q, want %q", first, want)
	}
	if got := strings.Join(f.calls[1].args, " "); !strings.HasSuffix(got, "--configure --pending") {
		t.Errorf("second call: %s", got)
	}
}

func TestRelation(t *testing.T) {
	for in, want := range map[string]string{
		"a":                            "a",
		" a |b,\n  c (>=1:2) ,":        "a | b, c (>= 1:2)",
		"x:any (<< 2~), y ( = 1 )":     "x:any (<< 2~), y (= 1)",
		"old (< 1), new (> 2), z (3)":  "old (<= 1), new (>= 2), z (= 3)",
		"libc6 (>= 2.38),\n libgcc-s1": "libc6 (>= 2.38), libgcc-s1",
	} {
		if got := relation(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestReplaces(t *testing.T) {
	r := &record{name: "one", arch: "amd64", version: "1.5"}
	for field, want := range map[string]bool{
		"": false, "one": true, "two, one": true, "one (<< 2)": true, "one (<<1.5)": false, "one (<= 1.5)": true,
		"one:i386": false, "one:any": true, "onemore": false, "x | y": false,
	} {
		if got := replaces(field, r); got != want {
			t.Errorf("%q: got %v", field, got)
		}
	}
}

func FuzzDatabaseFiles(f *testing.F) {
	f.Add([]byte("interest /usr/x\nactivate-noawait y\n"))
	f.Add([]byte("/etc/a\nremove-on-upgrade /etc/b\n"))
	f.Add([]byte("1\troot\tmail\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _ := parseTriggers(b)
		for _, d := range list {
			if d.name[0] != '/' && strings.ContainsAny(d.name, "/\n") {
				t.Fatalf("trigger %q could leave its folder", d.name)
			}
		}
		parseConffiles(b)
		parseOwners(b)
		intree.ParseIDs(b)
	})
}
