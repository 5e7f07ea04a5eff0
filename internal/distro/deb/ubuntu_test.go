package deb_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/internal/distro"
	"slipway/internal/distro/deb"
	"slipway/internal/distro/deb/archive"
	"slipway/internal/distro/deb/archive/archivetest"
	"slipway/internal/distro/deb/version"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/store"
)

// ubuntuArchive is small and laid out as Ubuntu's is.
func ubuntuArchive(t *testing.T) *archivetest.Archive {
	t.Helper()
	a := archivetest.NewUbuntu(t)
	essential := func(name, depends string) archivetest.Deb {
		return archivetest.Deb{Name: name, Architecture: "amd64", Essential: true, Priority: "required", PreDepends: depends}
	}
	a.Add(essential("base-files", ""), essential("dpkg", "libc6 (>= 1.0)"), essential("bash", "libc6"),
		archivetest.Deb{Name: "libc6", Architecture: "amd64", Priority: "optional", MultiArch: "same"},
		archivetest.Deb{Name: "libc6", Version: "1.0.2", Architecture: "amd64", Suite: "-security", MultiArch: "same"},
		archivetest.Deb{Name: "apt", Version: "2.7.14build2", Architecture: "amd64", Priority: "important", Depends: "libc6, ubuntu-keyring"},
		archivetest.Deb{Name: "ubuntu-keyring", Priority: "required"},

		archivetest.Deb{Name: "app", Depends: "lib (>= 1.0)"},
		archivetest.Deb{Name: "app", Version: "1.1", Suite: "-updates", Depends: "lib (>= 1.1)", Listed: "Phased-Update-Percentage: 10\n"},
		archivetest.Deb{Name: "lib"},
		archivetest.Deb{Name: "lib", Version: "1.0.1", Suite: "-security"},
		archivetest.Deb{Name: "lib", Version: "1.1", Suite: "-updates", Listed: "Phased-Update-Percentage: 10\n"},
		archivetest.Deb{Name: "halted"},
		archivetest.Deb{Name: "halted", Version: "1.1", Suite: "-updates", Listed: "Phased-Update-Percentage: 0\n"},
		archivetest.Deb{Name: "secure"},
		archivetest.Deb{Name: "secure", Version: "1.1", Suite: "-updates", Listed: "Phased-Update-Percentage: 0\n"},
		archivetest.Deb{Name: "secure", Version: "1.1", Suite: "-security"},

		archivetest.Deb{Name: "tool", Component: "universe", Depends: "lib"},
		archivetest.Deb{Name: "tool", Component: "universe", Version: "1.2", Suite: "-updates", Depends: "lib"},
		archivetest.Deb{Name: "blob", Component: "restricted"},
		archivetest.Deb{Name: "mail", Version: "2:1snap1-0ubuntu3", PreDepends: "snapd"},
		archivetest.Deb{Name: "snapd"},
	)
	return a
}

// ubuntu is a definition that uses an archive as its distribution's mirror.
func ubuntu(t *testing.T, mirror, more string, packages ...string) *machine.Definition {
	t.Helper()
	text := fmt.Sprintf("slipway: v1\nname: u\nsystem: ubuntu/noble\narch: amd64\ninit: none\nmirror: %q\n%s", mirror, more)
	if len(packages) > 0 {
		text += "packages: [" + strings.Join(packages, ", ") + "]\n"
	}
	file := filepath.Join(t.TempDir(), "u.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := machine.Load(file, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func ubuntuFamily(t *testing.T, keyFile string) *deb.Family {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := deb.New(s)
	f.KeyFile = keyFile
	return f
}

func choose(t *testing.T, f *deb.Family, d *machine.Definition) (*distro.Choice, error) {
	t.Helper()
	return f.Choose(t.Context(), distro.Request{Definition: d, Class: plan.Plain, Implied: f.Implied(d, plan.Plain)})
}

func chosen(c *distro.Choice) map[string]string {
	out := map[string]string{}
	for _, p := range c.Lock.Packages {
		out[p.Name] = p.Version
	}
	return out
}

// hostApt is the host's own apt with a configuration, a state and a machine of
// its own.
type hostApt struct{ root string }

func newHostApt(t *testing.T, a *archivetest.Archive, url string) *hostApt {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("apt-get is not installed")
	}
	h := &hostApt{root: t.TempDir()}
	for _, dir := range []string{"etc/apt/apt.conf.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"} {
		if err := os.MkdirAll(filepath.Join(h.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var sources strings.Builder
	for _, suite := range []string{"noble", "noble-updates", "noble-security"} {
		fmt.Fprintf(&sources, "deb [signed-by=%s] %s %s main universe\n", a.KeyFile(), url, suite)
	}
	for name, text := range map[string]string{"etc/apt/sources.list": sources.String(), "var/lib/dpkg/status": ""} {
		if err := os.WriteFile(filepath.Join(h.root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := h.run(nil, "update"); err != nil {
		t.Fatalf("apt-get update: %v\n%s", err, out)
	}
	return h
}

func (h *hostApt) run(env []string, args ...string) (string, error) {
	options := []string{"-o", "Dir=" + h.root, "-o", "Dir::State::status=" + h.root + "/var/lib/dpkg/status", "-o", "APT::Architecture=amd64",
		"-o", "APT::Architectures::=amd64", "-o", "APT::Sandbox::User=", "-o", "Acquire::http::Proxy=DIRECT", "-o", "APT::Install-Recommends=false"}
	cmd := exec.Command("apt-get", append(options, args...)...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "APT_CONFIG=/dev/null"}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// install is what apt would install, by name.
func (h *hostApt) install(t *testing.T, env, options []string, names ...string) map[string]string {
	t.Helper()
	out, err := h.run(env, append(append(options, "-s", "install"), names...)...)
	if err != nil {
		t.Fatalf("apt-get: %v\n%s", err, out)
	}
	chosen := map[string]string{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "Inst" {
			chosen[strings.TrimSuffix(f[1], ":amd64")] = strings.TrimPrefix(f[2], "(")
		}
	}
	return chosen
}

// TestUbuntuAsApt compares with the host's apt on the same archive. Phased
// updates are taken, even those that were halted: so does apt where nothing is
// installed yet, whatever its machine, and where SOURCE_DATE_EPOCH is set.
func TestUbuntuAsApt(t *testing.T) {
	a := ubuntuArchive(t)
	url := a.Serve()
	f, apt := ubuntuFamily(t, a.KeyFile()), newHostApt(t, a, url)
	essential := []string{"base-files", "dpkg", "bash"}
	type way struct{ env, options []string }
	ways := []way{{[]string{"SOURCE_DATE_EPOCH=1"}, nil}}
	if out, err := apt.run(nil, "--version"); err == nil && version.Compare(strings.Fields(out)[1], "2.6") >= 0 {
		// Older ones throw their dice for what is new as well.
		ways = append(ways, way{nil, []string{"-o", "APT::Machine-ID=00000000000000000000000000000001"}},
			way{nil, []string{"-o", "APT::Machine-ID=00000000000000000000000000000002"}})
	}
	for _, names := range [][]string{{"app"}, {"tool"}, {"halted", "secure"}, {"app", "tool", "halted", "secure"}} {
		c, err := choose(t, f, ubuntu(t, url, "base: minbase\n", names...))
		if err != nil {
			t.Fatal(err)
		}
		for _, way := range ways {
			want := apt.install(t, way.env, way.options, slices.Concat(names, essential, []string{"apt", "ubuntu-keyring"})...)
			if len(want) < len(names)+6 {
				t.Fatalf("apt chooses only %v", want)
			}
			if have := chosen(c); !maps.Equal(have, want) {
				t.Errorf("%v: apt with %v chooses %v, slipway %v", names, way, want, have)
			}
		}
	}
}

func TestUbuntuChoice(t *testing.T) {
	a := ubuntuArchive(t)
	url := a.Serve()
	f := ubuntuFamily(t, a.KeyFile())
	d := ubuntu(t, url, "base: apt\n", "app", "tool", "mail")
	c, err := choose(t, f, d)
	if err != nil {
		t.Fatal(err)
	}
	have := chosen(c)
	for name, version := range map[string]string{"app": "1.1", "lib": "1.1", "tool": "1.2", "libc6": "1.0.2", "apt": "2.7.14build2"} {
		if have[name] != version {
			t.Errorf("%s is %q, want %s", name, have[name], version)
		}
	}
	if len(c.Notes) != 1 || !strings.HasPrefix(c.Notes[0], "mail: the package only fetches a snap") {
		t.Errorf("notes: %q", c.Notes)
	}
	var indexes []string
	for _, x := range c.Lock.Indexes {
		indexes = append(indexes, x.URL)
	}
	want := []string{"http://archive.ubuntu.com/ubuntu/dists/noble/InRelease", "http://archive.ubuntu.com/ubuntu/dists/noble-updates/InRelease",
		"http://security.ubuntu.com/ubuntu/dists/noble-security/InRelease"}
	if !slices.Equal(indexes, want) {
		t.Errorf("the lock names %q", indexes)
	}
	byHash := 0
	for _, path := range a.Requests() {
		if strings.Contains(path, "/by-hash/SHA256/") {
			byHash++
		}
	}
	if byHash == 0 {
		t.Error("no list was asked for by its hash")
	}
	items, err := f.Items(t.Context(), d, c.Lock.Packages)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range c.Lock.Packages {
		if p.Name == "libc6" && !slices.Equal(items[i].URLs, []string{url + "/" + p.File, url + "-security/" + p.File}) {
			t.Errorf("a security update is looked for at %q", items[i].URLs)
		}
		if p.Name == "lib" && !slices.Equal(items[i].URLs, []string{url + "/" + p.File}) {
			t.Errorf("an update is looked for at %q", items[i].URLs)
		}
	}
}

// TestUbuntuMirrors: the security suite is found beside the others, at the
// address with -security added, and where it is said to be.
func TestUbuntuMirrors(t *testing.T) {
	a := ubuntuArchive(t)
	a.OneBase = false
	for _, d := range []archivetest.Deb{{Name: "libc6", Version: "1.0.2", Architecture: "amd64"}, {Name: "lib", Version: "1.0.1"}, {Name: "secure", Version: "1.1"}} {
		d.Suite = "-security"
		a.Add(d) // into the other folder as well
	}
	url := a.Serve()
	for _, mirror := range []string{url, fmt.Sprintf("{main: %q, security: %q}", url, url+"-security")} {
		d := ubuntu(t, url, "base: essential\n", "secure")
		if strings.HasPrefix(mirror, "{") {
			d.Mirror.Security = url + "-security"
		}
		c, err := choose(t, ubuntuFamily(t, a.KeyFile()), d)
		if err != nil {
			t.Fatal(err)
		}
		if v := chosen(c)["libc6"]; v != "1.0.2" {
			t.Errorf("mirror %s: libc6 is %s", mirror, v)
		}
	}
}

func TestUbuntuComponents(t *testing.T) {
	a := ubuntuArchive(t)
	url := a.Serve()
	f := ubuntuFamily(t, a.KeyFile())
	for _, c := range []struct{ more, want, refused string }{
		{"", "tool", ""},
		{"", "", "blob"},
		{"components: [main]\n", "lib", ""},
		{"components: [main]\n", "", "tool"},
		{"components: [main, restricted]\n", "blob", ""},
		{"components: [main, universal]\n", "", "lib"},
	} {
		have, err := choose(t, f, ubuntu(t, url, "base: essential\n"+c.more, c.want+c.refused))
		if (err != nil) != (c.refused != "") {
			t.Errorf("%q %s: %v", c.more, c.want+c.refused, err)
		} else if err == nil && chosen(have)[c.want] == "" {
			t.Errorf("%q: no %s", c.more, c.want)
		} else if strings.Contains(c.more, "universal") && !strings.Contains(err.Error(), `no component "universal"; it has main, restricted, universe, multiverse`) {
			t.Errorf("%v", err)
		}
	}
	// A release without a usual component is taken as it is.
	a.Components = []string{"main"}
	a.Publish()
	if _, err := choose(t, ubuntuFamily(t, a.KeyFile()), ubuntu(t, url, "base: essential\n", "lib")); err != nil {
		t.Error(err)
	}
}

func TestUbuntuRefusals(t *testing.T) {
	a := ubuntuArchive(t)
	url := a.Serve()
	try := func(keyFile string) error {
		_, err := choose(t, ubuntuFamily(t, keyFile), ubuntu(t, url, "base: essential\n", "lib"))
		return err
	}
	if err := try(""); !isKind(err, archive.ErrSignature) || !strings.Contains(err.Error(), "trusted are the Ubuntu archive's keys") {
		t.Errorf("the test's key instead of Ubuntu's: %v", err)
	}
	if err := try(archivetest.NewUbuntu(t).KeyFile()); !isKind(err, archive.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	a.ValidFor = time.Minute
	a.Publish()
	if err := try(a.KeyFile()); !isKind(err, archive.ErrExpired) {
		t.Errorf("an index past its date: %v", err)
	}
	a.ValidFor = 0
	a.Publish()
	f := ubuntuFamily(t, a.KeyFile())
	request := distro.Request{Definition: ubuntu(t, url, "base: essential\n", "lib"), Class: plan.Plain, Refresh: true}
	if _, err := f.Choose(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	a.Date = a.Date.Add(-48 * time.Hour)
	a.Publish()
	c, err := f.Choose(t.Context(), request)
	if err != nil || !strings.Contains(strings.Join(c.Notes, "\n"), "the mirror is behind") {
		t.Errorf("an older index than one seen before: %v, %v", c, err)
	}
}

func isKind(err, kind error) bool { return err != nil && errors.Is(err, kind) }

// TestUbuntuPorts: what is not amd64 or i386 comes from the second archive,
// whose indexes are remembered apart.
func TestUbuntuPorts(t *testing.T) {
	a := archivetest.NewUbuntu(t)
	a.Folder, a.Archs = "ubuntu-ports", []string{"arm64"}
	a.Add(archivetest.Deb{Name: "base-files", Architecture: "arm64", Essential: true, Priority: "required"},
		archivetest.Deb{Name: "libc6", Architecture: "arm64", Version: "1.0.2", Suite: "-security"})
	d := ubuntu(t, a.Serve(), "base: essential\n", "libc6")
	d.Arch = "arm64"
	f := ubuntuFamily(t, a.KeyFile())
	c, err := choose(t, f, d)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range c.Lock.Indexes {
		if want := "http://ports.ubuntu.com/ubuntu-ports/dists/" + x.Suite + "/InRelease"; x.URL != want {
			t.Errorf("%s is at %s", x.Suite, x.URL)
		}
	}
	for arch, want := range map[string]string{
		"amd64": "http://archive.ubuntu.com/ubuntu", "i386": "http://archive.ubuntu.com/ubuntu",
		"arm64": "http://ports.ubuntu.com/ubuntu-ports", "riscv64": "http://ports.ubuntu.com/ubuntu-ports",
	} {
		d.Arch = arch
		if home := archive.Ubuntu.Home(arch).Main; home != want {
			t.Errorf("%s comes from %s", arch, home)
		}
		for mirror, ports := range map[string]bool{"http://de.example.org/ubuntu": false, "http://de.example.org/ubuntu-ports/": true} {
			carries := archive.Ubuntu.Carries(archive.Mirror{Main: mirror}, arch)
			if wants := ports == strings.HasSuffix(want, "-ports"); carries != wants {
				t.Errorf("the host's mirror %s is used for %s: %v", mirror, arch, carries)
			}
		}
		files, err := deb.AptFiles(d)
		if err != nil {
			t.Fatal(err)
		}
		security := strings.Replace(want, "archive.", "security.", 1)
		text := fmt.Sprintf("deb %s noble main universe\ndeb %s noble-updates main universe\ndeb %s noble-security main universe\n", want, want, security)
		if got := files["etc/apt/sources.list"]; got != text {
			t.Errorf("%s: the machine's sources are\n%s", arch, got)
		}
	}
}

// TestUbuntuNames: what keys bring is called otherwise in Ubuntu.
func TestUbuntuNames(t *testing.T) {
	f := ubuntuFamily(t, "")
	for release, want := range map[string]string{
		"jammy": "systemd-sysv udev dbus systemd linux-image-generic grub-pc-bin",
		"noble": "systemd-sysv udev dbus systemd systemd-resolved linux-image-generic systemd-boot-efi grub-pc-bin",
	} {
		d := ubuntu(t, "http://archive.example.org/ubuntu", "network: [{match: \"en*\", dhcp: true}]\n", "git/"+release+"-backports")
		d.System, d.Init = "ubuntu/"+release, ""
		var names []string
		for _, i := range f.Implied(d, plan.Bootable) {
			names = append(names, i.Package)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s", release, got)
		}
		files, err := deb.AptFiles(d)
		if err != nil {
			t.Fatal(err)
		}
		if pins := files["etc/apt/preferences.d/slipway"]; !strings.Contains(pins, "Pin: release a="+release+"-backports\n") {
			t.Errorf("pins: %s", pins) // the codename is the same for all suites
		}
	}
}
