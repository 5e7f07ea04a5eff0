package install

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/distro/deb/debfile"
	"slipway/internal/distro/deb/debfile/debtest"
	"slipway/internal/store"
)

// bench is a pair of trees that are treated alike: one by this package, one by
// the host's dpkg.
type bench struct {
	t         *testing.T
	store     *store.Store
	debs      string
	ours, ref string
	in        *Installer
	log       bytes.Buffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	for _, tool := range []string{"dpkg", "dpkg-divert", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("comparing with dpkg needs the program " + tool)
		}
	}
	b := &bench{t: t, debs: t.TempDir()}
	var err error
	if b.store, err = store.Open(t.TempDir(), store.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.store.Close() })
	b.ours, b.ref = newTree(t), newTree(t)
	b.in, err = New(Options{
		Root: b.ours, Arch: "amd64", Log: &b.log, Run: hostRun(b.ours),
		Open: func(_ context.Context, sum string) (*store.Pack, error) { return b.store.OpenPack(sum) },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.in.root.KeepOwner = os.Getuid() != 0
	t.Cleanup(b.in.Close)
	return b
}

// made is when the files of every new tree were made.
var made = time.Unix(1700000000, 0)

func newTree(t *testing.T) string {
	root := t.TempDir()
	for name, data := range map[string]string{
		"var/lib/dpkg/status":            "",
		"var/lib/dpkg/arch":              "amd64\ni386\n",
		"var/lib/dpkg/info/format":       "1\n",
		"var/lib/dpkg/triggers/Unincorp": "",
		"var/lib/dpkg/updates/.keep/x":   "",
		"usr/bin/dpkg":                   "",
		"etc/passwd":                     "root:x:0:0::/:/bin/sh\ngames:x:77:60::/:/bin/sh\n",
		"etc/group":                      "root:x:0:\ngames:x:78:\n",
		"existing/dir/file":              "",
		"real/inside":                    "",
	} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		ofOneMoment(t, name)
	}
	os.RemoveAll(filepath.Join(root, "var/lib/dpkg/updates/.keep"))
	if err := os.Symlink("real", filepath.Join(root, "tofolder")); err != nil {
		t.Fatal(err)
	}
	ofOneMoment(t, filepath.Join(root, "tofolder"))
	return root
}

// ofOneMoment keeps two trees that are made around the end of a second from
// differing in it.
func ofOneMoment(t *testing.T, name string) {
	t.Helper()
	at := unix.NsecToTimespec(made.UnixNano())
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
}

func dpkgArgs(root string) []string {
	return []string{"--root=" + root, "--force-not-root", "--force-script-chrootless", "--force-unsafe-io", "--log=/dev/null"}
}

// hostRun runs the tree's dpkg and scripts with the host's programs. Scripts
// must use DPKG_ROOT.
func hostRun(root string) RunFunc {
	return func(ctx context.Context, args, env []string, stdin io.Reader, out io.Writer) error {
		if args[0] == "dpkg" {
			args = append(append([]string{"dpkg"}, dpkgArgs(root)...), args[1:]...)
		} else {
			args = append([]string{filepath.Join(root, args[0])}, args[1:]...)
		}
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(append(os.Environ(), env...), "DPKG_ROOT="+root, "DPKG_ADMINDIR="+root+"/var/lib/dpkg")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, out, out
		return cmd.Run()
	}
}

// add builds packages and gives them to both sides.
func (b *bench) add(debs ...debtest.Deb) (all []Package, files []string) {
	b.t.Helper()
	for _, d := range debs {
		if d.Compression == "" {
			d.Compression = ".gz"
		}
		name := filepath.Join(b.debs, d.Name+d.Version+d.Arch+".deb")
		if err := os.WriteFile(name, d.Build(), 0o644); err != nil {
			b.t.Fatal(err)
		}
		p, err := debfile.Control(name)
		if err != nil {
			b.t.Fatal(err)
		}
		if err := debfile.ToPack(context.Background(), b.store, name, p.SHA256, debfile.WantOf(p)); err != nil {
			b.t.Fatal(err)
		}
		all = append(all, Package{p.Name, p.Version, p.Architecture, p.SHA256})
		files = append(files, name)
	}
	return all, files
}

func (b *bench) dpkg(args ...string) error {
	cmd := exec.Command("dpkg", append(dpkgArgs(b.ref), args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func (b *bench) unpack(debs ...debtest.Deb) {
	b.t.Helper()
	packages, files := b.add(debs...)
	if err := b.dpkg(append([]string{"--no-triggers", "--unpack"}, files...)...); err != nil {
		b.t.Fatal("dpkg: ", err)
	}
	if err := b.in.Unpack(context.Background(), packages); err != nil {
		b.t.Fatalf("%v\n%s", err, b.log.String())
	}
	b.compare("after unpacking " + packages[0].Name)
}

func (b *bench) configure() {
	b.t.Helper()
	if err := b.dpkg("--force-confdef", "--force-confold", "--configure", "--pending"); err != nil {
		b.t.Fatal("dpkg: ", err)
	}
	if err := b.in.ConfigurePending(context.Background()); err != nil {
		b.t.Fatalf("%v\n%s", err, b.log.String())
	}
	b.compare("after configuring")
}

// compare wants the same names, types, modes, owners, times of files, targets
// and contents. Contents of status are compared as dpkg writes them.
func (b *bench) compare(when string) {
	b.t.Helper()
	want, got := describe(b.t, b.ref), describe(b.t, b.ours)
	for name, w := range want {
		if g, ok := got[name]; !ok {
			b.t.Errorf("%s: /%s is missing, want %s", when, name, w)
		} else if g != w {
			b.t.Errorf("%s: /%s:\n got %s\nwant %s", when, name, g, w)
		}
	}
	for name, g := range got {
		if _, ok := want[name]; !ok {
			b.t.Errorf("%s: /%s is too much: %s", when, name, g)
		}
	}
	if b.t.Failed() {
		b.t.FailNow()
	}
}

// volatile are names that dpkg keeps for itself.
var volatile = map[string]bool{
	"var/lib/dpkg/status-old": true, "var/lib/dpkg/lock": true, "var/lib/dpkg/lock-frontend": true,
	"var/lib/dpkg/triggers/Lock": true, "var/lib/dpkg/tmp.ci": true, "var/lib/dpkg/diversions-old": true,
}

func describe(t *testing.T, root string) map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		if volatile[rel] {
			return nil
		}
		all[rel] = describeFile(t, name, strings.HasPrefix(rel, "var/lib/dpkg"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func describeFile(t *testing.T, name string, database bool) string {
	st, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %s", st.Mode(), ownerOf(st))
	if !database && !st.IsDir() {
		text += fmt.Sprintf(" %d", st.ModTime().Unix())
	}
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		target, _ := os.Readlink(name)
		return text + " -> " + target
	case st.Mode().IsRegular():
		data, _ := os.ReadFile(name)
		return text + "\n" + string(data)
	}
	return text
}

var dirs = func(names ...string) (all []debtest.Entry) {
	for _, n := range append([]string{"./"}, names...) {
		all = append(all, debtest.Entry{Name: n})
	}
	return all
}

func TestLikeDpkg(t *testing.T) {
	b := newBench(t)
	for _, root := range []string{b.ours, b.ref} {
		over := fmt.Sprintf("#%d #%d 4711 /usr/bin/special\n", os.Getuid(), os.Getgid())
		if err := os.WriteFile(root+"/var/lib/dpkg/statoverride", []byte(over), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.in.db.load(); err != nil {
		t.Fatal(err)
	}
	b.unpack(debtest.Deb{
		Name: "one", Fields: "Multi-Arch: foreign\nEssential: no\nHomepage: http://example.org\nDepends:  a |b,\n  c (>=1:2)\nProvides: x\n",
		Members: map[string]string{
			"preinst":   "#!/bin/sh\nset -e\ntest \"$1\" = install\ntest -z \"$2\"\ndpkg-divert --admindir \"$DPKG_ROOT/var/lib/dpkg\" --package one --divert /usr/bin/tool.distrib --no-rename --add /usr/bin/tool\n",
			"triggers":  "# comment\ninterest-noawait /usr/share/trig\ninterest /usr/share/await\ninterest named-one\n",
			"conffiles": "/etc/one.conf\n/etc/one.d/two\n",
			"md5sums":   "x  y\n", "shlibs": "s\n",
		},
		Entries: append(dirs("./etc/", "./etc/one.d/", "./usr/", "./usr/bin/", "./usr/share/", "./usr/share/one/", "./usr/share/trig/", "./usr/share/await/", "./empty/"),
			debtest.Entry{Name: "./etc/one.conf", Data: "new\n"}, debtest.Entry{Name: "./etc/one.d/two", Data: "2\n"},
			debtest.Entry{Name: "./usr/bin/tool", Data: "one's\n", Mode: 0o755},
			debtest.Entry{Name: "./usr/bin/special", Data: "s\n", Mode: 0o755},
			debtest.Entry{Name: "./usr/bin/suid", Data: "s\n", Mode: 0o4755},
			debtest.Entry{Name: "./usr/bin/hard", Hardlink: "./usr/bin/tool", Mode: 0o755},
			debtest.Entry{Name: "./usr/share/one/shared", Data: "from one\n"},
			debtest.Entry{Name: "./usr/share/one/kept", Data: "from one\n"},
			debtest.Entry{Name: "./usr/share/one/link", Symlink: "shared"},
			debtest.Entry{Name: "./existing", Symlink: "usr"}),
	})
	if data, _ := os.ReadFile(b.ours + "/etc/one.conf.dpkg-new"); string(data) != "new\n" {
		t.Errorf("the conffile waits as %q", data)
	}
	// Dependencies are not met on purpose; dpkg is told not to care.
	if err := b.dpkg("--force-depends", "--configure", "one"); err != nil {
		t.Fatal(err)
	}
	if err := b.in.dpkg(context.Background(), "--force-depends", "--configure", "one"); err != nil {
		t.Fatal(err)
	}
	b.compare("after configuring one")

	for _, root := range []string{b.ours, b.ref} {
		os.WriteFile(root+"/etc/two.conf", []byte("the user's\n"), 0o600)
		os.Symlink("other.conf", root+"/etc/linked.conf")
		ofOneMoment(t, root+"/etc/two.conf")
		ofOneMoment(t, root+"/etc/linked.conf")
	}
	b.unpack(
		debtest.Deb{
			Name: "two", Fields: "Replaces: one (<< 2),\n zzz\nPre-Depends: one\n", Members: map[string]string{
				"conffiles": "/etc/two.conf\n/etc/linked.conf\n", "triggers": "activate named-one\ninterest named-two\n"},
			Entries: append(dirs("./etc/", "./usr/", "./usr/bin/", "./usr/share/", "./usr/share/one/", "./usr/share/trig/", "./usr/share/await/", "./tofolder/"),
				debtest.Entry{Name: "./etc/two.conf", Data: "two's\n"},
				debtest.Entry{Name: "./etc/linked.conf", Data: "linked\n"},
				debtest.Entry{Name: "./usr/bin/tool", Data: "two's\n", Mode: 0o755},
				debtest.Entry{Name: "./usr/share/one/shared", Data: "from two\n"},
				debtest.Entry{Name: "./usr/share/trig/t", Data: "t"},
				debtest.Entry{Name: "./usr/share/await/t", Data: "t"},
				debtest.Entry{Name: "./tofolder/inside2", Data: "through a link\n"},
				debtest.Entry{Name: "./fifo", Type: '6'}),
		},
		debtest.Deb{
			Name: "same", Arch: "amd64", Fields: "Multi-Arch: same\n", Members: map[string]string{"triggers": "interest /usr/lib/same\n"},
			Entries: append(dirs("./usr/", "./usr/share/", "./usr/lib/", "./usr/lib/same/"),
				debtest.Entry{Name: "./usr/share/same", Data: "doc"}, debtest.Entry{Name: "./usr/lib/amd64", Data: "a"}),
		},
		debtest.Deb{
			Name: "same", Arch: "i386", Fields: "Multi-Arch: same\n",
			Entries: append(dirs("./usr/", "./usr/share/", "./usr/lib/"),
				debtest.Entry{Name: "./usr/share/same", Data: "doc"}, debtest.Entry{Name: "./usr/lib/i386", Data: "i"}),
		},
		debtest.Deb{
			Name: "late", Entries: append(dirs("./usr/", "./usr/share/", "./usr/share/one/"),
				debtest.Entry{Name: "./usr/share/own", Data: "x"}),
		},
	)
	b.in.db.records["one:all"].fields = set(b.in.db.records["one:all"].fields, "Depends", "")
	for _, root := range []string{b.ours, b.ref} {
		data, _ := os.ReadFile(root + "/var/lib/dpkg/status")
		os.WriteFile(root+"/var/lib/dpkg/status", bytes.Replace(data, []byte("Depends: a | b, c (>= 1:2)\n"), nil, 1), 0o644)
	}
	b.configure()
}

func TestConflicts(t *testing.T) {
	b := newBench(t)
	one := debtest.Deb{Name: "one", Entries: append(dirs(), debtest.Entry{Name: "./file", Data: "1"})}
	two := debtest.Deb{Name: "two", Entries: append(dirs(), debtest.Entry{Name: "./file", Data: "2"})}
	b.unpack(one)
	packages, files := b.add(two)
	if err := b.dpkg("--unpack", files[0]); err == nil {
		t.Fatal("dpkg accepts the conflict")
	}
	err := b.in.Unpack(context.Background(), packages)
	if err == nil || !strings.Contains(err.Error(), "unpacking two: /file: package two ships this path, and so does one (1.0)") {
		t.Fatal(err)
	}
}
