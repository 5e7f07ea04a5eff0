// Package faults feeds slipway everything bad that its users will meet. Each
// test wants a message with the cause and the remedy, and that nothing
// half-written, mounted or running is left.
package faults

import (
	"archive/tar"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"slipway/internal/distro/deb/archive/archivetest"
	"slipway/internal/e2e/kit"
)

func TestMain(m *testing.M) { kit.Main(m) }

// rig is a toy archive, a world, and a definition that asks for packages.
type rig struct {
	*kit.World
	t    *testing.T
	toy  *kit.Toy
	file string
}

func newRig(t *testing.T, more string) *rig {
	t.Helper()
	kit.NeedMachines(t)
	toy := kit.NewToy(t)
	w := kit.NewWorld(t)
	return &rig{w, t, toy, kit.Write(t, w.Dir, "toy.yaml", toy.Definition("toy", more))}
}

// fails builds, and wants every pattern in what is said.
func (r *rig) fails(args []string, patterns ...string) kit.Result {
	r.t.Helper()
	got := r.Run(args...)
	says(r.t, got, patterns...)
	return got
}

func says(t *testing.T, got kit.Result, patterns ...string) {
	t.Helper()
	if got.Status == 0 {
		t.Errorf("it succeeded\n%s", got.Text())
	}
	for _, p := range append(patterns, `^slipway: |\nslipway: `) {
		if !regexp.MustCompile(p).MatchString(got.Stderr) {
			t.Errorf("the message does not match %q:\n%s", p, got.Stderr)
		}
	}
	if regexp.MustCompile(`panic:|goroutine \d+ \[|runtime error`).MatchString(got.Stderr) {
		t.Errorf("it crashed:\n%s", got.Stderr)
	}
}

// clean wants that nothing is left of a failed build, and that the store is
// whole: the same definition without the fault is built from it.
func (r *rig) clean() {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.Store, "tmp"))
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		r.t.Errorf("a failed build leaves %s", e.Name())
	}
	for _, pid := range r.Processes() {
		r.t.Errorf("a failed build leaves process %d %s", pid, kit.Cmdline(pid))
	}
}

func (r *rig) worksNow() {
	r.t.Helper()
	r.toy.Repair()
	r.toy.Publish()
	good := kit.Write(r.t, r.Dir, "good.yaml", r.toy.Definition("toy", "packages: [toy]\n"))
	r.Must("build", "--refresh", good)
}

// What is wrong in the file itself.
func TestFaultsDefinition(t *testing.T) {
	head := "slipway: v1\nname: x\nsystem: debian/trixie\n"
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"unknown key", head + "packges: [nginx]\n", []string{`x\.yaml:4:1: .*packges`, `packages`}},
		{"wrong type", head + "recommends: often\n", []string{`x\.yaml:5?4?:\d+: .*recommends`, `true`}},
		{"two problems", head + "packges: [a]\nrecommends: often\n", []string{`x\.yaml:4:`, `x\.yaml:5:`}},
		{"include cycle", head + "include: [x.yaml]\n", []string{`x\.yaml`, `cycle|itself|again`}},
		{"missing include", head + "include: [nowhere.yaml]\n", []string{`nowhere\.yaml`}},
		{"not YAML", head + "packages: [a\n", []string{`x\.yaml:\d+`}},
		{"empty", "", []string{`x\.yaml:1:`, `slipway`}},
		{"binary", "\x00\x01\x02", []string{`x\.yaml`}},
		{"unknown system", "slipway: v1\nname: x\nsystem: debain/trixie\n", []string{`x\.yaml:3:\d+: .*debain`, `debian`}},
		{"a key of later", head + "proxmox: {node: a}\n", []string{`x\.yaml:4:1: .*proxmox.*not yet`}},
		{"two partitions grow", head + "disk: {partitions: [{use: data, mount: /srv, grow: true}, {use: root, grow: true}]}\n", []string{`x\.yaml:4:\d+: .*grow`}},
		{"an ESP too small", head + "disk: {partitions: [{use: esp, size: 8M}, {use: root}]}\n", []string{`x\.yaml:4:\d+: .*ESP`}},
		{"a BIOS without a place", head + "boot: {firmware: [bios]}\ndisk: {table: none}\n", []string{`x\.yaml:5:\d+: .*BIOS`}},
		{"an unknown file system", head + "disk: {partitions: [{use: root, filesystem: ntfs}]}\n", []string{`x\.yaml:4:\d+: .*ntfs`}},
		{"more partitions than disk", head + "disk: {size: 1G, partitions: [{use: data, mount: /srv, size: 2G}, {use: root, grow: true}]}\n", []string{`x\.yaml:4:\d+: .*disk.size`}},
		{"an impossible probe", head + "probes: [{name: p, tcp: 99999}]\n", []string{`x\.yaml:4:`, `99999`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := kit.NewWorld(t)
			says(t, w.Run("check", "--structure", kit.Write(t, w.Dir, "x.yaml", c.text)), c.want...)
		})
	}
}

// What is wrong with the packages that are asked for.
func TestFaultsPackages(t *testing.T) {
	r := newRig(t, "packages: [toy]\n")
	for _, c := range []struct {
		packages string
		want     []string
	}{
		{"[toi]", []string{`toi`, `toy`}},
		{"[toy, toy-clash]", []string{`toy-clash`, `conflicts with toy`}},
		{"[toy-broken]", []string{`toy-broken`, `toy-absent`}},
		{"[toy=9.9]", []string{`toy`, `9\.9`, `1\.0`}},
		{"[toy/potato]", []string{`potato`}},
		{"[./nowhere.deb]", []string{`nowhere\.deb`}},
	} {
		r.fails([]string{"build", r.file, "--set", "packages=" + c.packages}, c.want...)
	}
	r.fails([]string{"build", r.file, "--set", "files=[{path: /etc/motd, from: ./nowhere}]"}, `files`, `nowhere`)
	r.fails([]string{"check", kit.Write(t, r.Dir, "potato.yaml", "slipway: v1\nname: x\nsystem: debian/potato\nmirror: "+r.toy.URL+"\n")}, `potato`, `trixie`)
	r.clean()
}

// What is wrong with the archive.
func TestFaultsArchive(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		name string
		do   func(*rig)
		want []string
	}{
		{"signed by another key", func(r *rig) { r.toy.SignedBy = archivetest.NewKey(r.t) }, []string{`verifying`, `key [0-9A-F]+ is not known`, `signed_by`}},
		{"not signed", func(r *rig) { r.toy.Unsigned = true }, []string{`InRelease|signature`}},
		{"bad signature", func(r *rig) { r.toy.Break(archivetest.Fault{Path: "InRelease", Flip: 120}) }, []string{`signature`}},
		{"expired", func(r *rig) { r.toy.Date, r.toy.ValidFor = time.Now().Add(-20*day), 7*day }, []string{`valid until`, `clock`, `mirror`}},
		{"from the future", func(r *rig) { r.toy.Date = time.Now().Add(10 * day) }, []string{`signed on`, `set the clock`}},
		{"weak digests", func(r *rig) { r.toy.Digests = "MD5Sum" }, []string{`only MD5`, `SHA256`}},
		{"another suite", func(r *rig) { r.toy.Codename, r.toy.Suite = "sid", "unstable" }, []string{`sid|unstable`}},
		{"index changed", func(r *rig) { r.toy.Break(archivetest.Fault{Path: "binary-", Flip: 40}) }, []string{`digest`}},
		{"nothing there", func(r *rig) { r.toy.Break(archivetest.Fault{Status: 404}) }, []string{`404|Not Found|no such release`}},
		{"no permission", func(r *rig) { r.toy.Break(archivetest.Fault{Status: 403}) }, []string{`403`}},
		{"a login page", func(r *rig) { r.toy.Break(archivetest.Fault{Path: "InRelease", Body: "<html>please log in</html>"}) }, []string{`not a signed|signed|signature`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "packages: [toy]\n")
			c.do(r)
			r.toy.Publish()
			r.fails([]string{"build", r.file}, c.want...)
			r.clean()
		})
	}
}

// An older index than one seen before is not taken; what the store remembers
// is used instead, and it is said.
func TestFaultsRollback(t *testing.T) {
	r := newRig(t, "packages: [toy]\n")
	r.Must("build", r.file)
	r.toy.Date = r.toy.Date.Add(-48 * time.Hour)
	r.toy.Publish()
	got := r.Run("build", "--refresh", r.file)
	if got.Status != 0 || !strings.Contains(got.Stderr, "older") {
		t.Errorf("a rolled-back archive beside a good stored index: exit status %d\n%s", got.Status, got.Text())
	}
	if err := os.RemoveAll(filepath.Join(r.Store, "indexes", "packages")); err != nil {
		t.Fatal(err)
	}
}

// What is wrong with a package on its way.
func TestFaultsTransport(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault archivetest.Fault
		want  []string // nothing: it is overcome
	}{
		{"truncated once", archivetest.Fault{Path: "toy-lib_1.0", CutAt: 100, Times: 1}, nil},
		{"busy once", archivetest.Fault{Path: "toy-lib_1.0", Status: 503, Times: 1}, nil},
		{"always truncated", archivetest.Fault{Path: "toy-lib_1.0", CutAt: 100}, nil},
		{"bit flipped", archivetest.Fault{Path: "toy-lib_1.0", Flip: 200}, []string{`toy-lib`, `digest`, `mirror`}},
		{"shorter", archivetest.Fault{Path: "toy-lib_1.0", Body: "!<arch>\n"}, []string{`toy-lib`, `bytes|size|short`}},
		{"longer", archivetest.Fault{Path: "toy-lib_1.0", Append: "x"}, []string{`toy-lib`}},
		{"gone", archivetest.Fault{Path: "toy-lib_1.0", Status: 404}, []string{`toy-lib`, `404`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "packages: [toy]\n")
			r.toy.Break(c.fault)
			if c.want == nil {
				got := r.Run("build", r.file)
				if got.Status != 0 && c.fault.Times == 1 {
					t.Errorf("a fault that passes is not overcome: %s", got.Text())
				}
			} else {
				r.fails([]string{"build", r.file}, c.want...)
			}
			r.clean()
			r.worksNow()
		})
	}
}

// Corruption in the store is found by hash, said, and fetched again.
func TestFaultsCorruptStore(t *testing.T) {
	r := newRig(t, "packages: [toy]\n")
	r.Must("build", r.file)
	debs, _ := filepath.Glob(filepath.Join(r.Store, "debs", "*"))
	if len(debs) < 3 {
		t.Fatalf("the store keeps %v", debs)
	}
	for _, deb := range debs {
		data, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		os.Chmod(deb, 0o600)
		if err := os.WriteFile(deb, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"packs", "layers", "trees"} { // so that the packages are needed again
		if err := kit.RemoveAll(filepath.Join(r.Store, dir)); err != nil {
			t.Fatal(err)
		}
		os.Mkdir(filepath.Join(r.Store, dir), 0o711)
	}
	got := r.Must("build", r.file)
	if !regexp.MustCompile(`damaged|corrupt|fetched again`).MatchString(got.Stderr) {
		t.Errorf("damage in the store is not said:\n%s", got.Stderr)
	}
	r.clean()
}

// Unpacked packages that rot in the store are found by hash too, and made anew.
func TestFaultsCorruptPacks(t *testing.T) {
	r := newRig(t, "packages: [toy]\n")
	r.Must("build", r.file)
	packs, _ := filepath.Glob(filepath.Join(r.Store, "packs", "*"))
	if len(packs) < 3 {
		t.Fatalf("the store keeps %v", packs)
	}
	for _, pack := range packs {
		data, err := os.ReadFile(pack)
		if err != nil {
			t.Fatal(err)
		}
		for i := 64; i < len(data); i += 512 {
			data[i] ^= 1
		}
		os.Chmod(pack, 0o600)
		if err := os.WriteFile(pack, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"layers", "trees"} {
		if err := kit.RemoveAll(filepath.Join(r.Store, dir)); err != nil {
			t.Fatal(err)
		}
		os.Mkdir(filepath.Join(r.Store, dir), 0o711)
	}
	got := r.Must("build", r.file)
	if !strings.Contains(got.Stderr, "damaged") {
		t.Errorf("damage in the store is not said:\n%s", got.Stderr)
	}
	r.clean()
}

// Packages whose archive tries to leave the tree, or to fill the disk.
func TestFaultsHostilePackages(t *testing.T) {
	link := func(name, target string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}
	}
	file := func(name string) tar.Header { return tar.Header{Name: name, Mode: 0o644} }
	for _, c := range []struct {
		name    string
		deb     archivetest.Deb
		want    []string
		outside string
	}{
		{"dot dot", archivetest.Deb{Entries: []tar.Header{file("./../../../../../../tmp/slipway-escaped")}}, []string{`evil`, `\.\.`}, ""},
		{"absolute", archivetest.Deb{Entries: []tar.Header{file("/../tmp/slipway-escaped")}}, []string{`evil`}, ""},
		{"hard link outside", archivetest.Deb{Entries: []tar.Header{{Name: "./x", Typeflag: tar.TypeLink, Linkname: "../../../../etc/passwd"}}}, []string{`evil`}, ""},
		{"hard link to nothing", archivetest.Deb{Entries: []tar.Header{{Name: "./x", Typeflag: tar.TypeLink, Linkname: "./nothing"}}}, []string{`evil`, `nothing`}, ""},
		{"bomb", archivetest.Deb{Compression: "zst", Files: map[string]string{"/zeros": strings.Repeat("\x00", 200<<20)}}, []string{`evil`, `times|limit|more than`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "packages: [evil]\n")
			c.deb.Name = "evil"
			r.toy.Add(c.deb)
			r.toy.Publish()
			r.fails([]string{"build", r.file}, c.want...)
			r.clean()
		})
	}
	t.Run("through a link", func(t *testing.T) {
		// Not an error: as in dpkg the link is followed, but inside of the tree.
		outside := kit.TempDir(t)
		r := newRig(t, "packages: [evil]\n")
		r.toy.Add(archivetest.Deb{Name: "evil", Entries: []tar.Header{link("./way", outside), file("./way/escaped")}})
		r.toy.Publish()
		r.Run("build", r.file)
		if _, err := os.Stat(filepath.Join(outside, "escaped")); err == nil {
			t.Error("a package wrote outside of its tree")
		}
		r.clean()
	})
}

// Maintainer scripts that fail, or want what they may not have.
func TestFaultsScripts(t *testing.T) {
	script := func(body string) map[string]string { return map[string]string{"postinst": "#!/bin/sh\n" + body} }
	t.Run("fails", func(t *testing.T) {
		r := newRig(t, "packages: [bad]\n")
		r.toy.Add(archivetest.Deb{Name: "bad", Scripts: script("echo the disk of plenty is empty >&2\nexit 4\n")})
		r.toy.Publish()
		r.fails([]string{"build", r.file}, `bad`, `postinst`, `exit status 4|status 4`, `the disk of plenty is empty`)
		r.clean()
		r.worksNow()
	})
	t.Run("preinst fails", func(t *testing.T) {
		r := newRig(t, "packages: [bad]\n")
		r.toy.Add(archivetest.Deb{Name: "bad", Scripts: map[string]string{"preinst": "#!/bin/sh\necho no, thanks\nexit 3\n"}})
		r.toy.Publish()
		r.fails([]string{"build", r.file}, `bad`, `preinst`, `3`, `no, thanks`)
		r.clean()
	})
	t.Run("network", func(t *testing.T) {
		r := newRig(t, "packages: [caller]\n")
		r.toy.Add(archivetest.Deb{Name: "caller", Scripts: script("ls /sys/class/net > /net || true\ncat /proc/net/route > /route\n")})
		r.toy.Publish()
		r.Must("build", r.file, "-o", "out.tar")
		data, err := os.ReadFile(filepath.Join(r.Dir, "out.tar"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "eth0") {
			t.Error("a maintainer script sees the host's interfaces")
		}
	})
	t.Run("leaves a process", func(t *testing.T) {
		r := newRig(t, "packages: [daemon]\n")
		r.toy.Add(archivetest.Deb{Name: "daemon", Scripts: script("sleep 600 >/dev/null 2>&1 &\nexit 0\n")})
		r.toy.Publish()
		if got := r.Must("build", r.file); got.Took > time.Minute {
			t.Errorf("the build waited %s for a process that a script left", got.Took)
		}
		r.clean()
	})
	t.Run("reaches for the host", func(t *testing.T) {
		r := newRig(t, "packages: [nosy]\n")
		r.toy.Add(archivetest.Deb{Name: "nosy", Scripts: script("ls " + r.Dir + " && exit 9\nmount -t tmpfs none /usr && exit 8\necho x > /proc/sys/kernel/hostname && exit 7\ntrue\n")})
		r.toy.Publish()
		r.Must("build", r.file)
		r.clean()
	})
	t.Run("run: fails", func(t *testing.T) {
		r := newRig(t, "packages: [toy]\nrun: [\"echo speaking; exit 5\"]\n")
		r.fails([]string{"build", r.file}, `toy\.yaml:\d+:\d+: .*run`, `code 5`, `speaking`)
		r.clean()
	})
}
