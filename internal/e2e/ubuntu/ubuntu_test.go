// Package ubuntu proves `system: ubuntu/noble` from end to end without
// Ubuntu's archive: Debian's packages, packed anew with zstd members, in a
// small archive laid out as Ubuntu's and signed by a key made for it.
package ubuntu

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"slipway/internal/build"
	"slipway/internal/distro"
	"slipway/internal/distro/deb"
	"slipway/internal/distro/deb/archive/archivetest"
	"slipway/internal/e2e/kit"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/progress"
	"slipway/internal/sandbox"
	"slipway/internal/store"
)

func TestMain(m *testing.M) {
	build.Installers["ubuntu"] = deb.Installer{}
	kit.Main(m)
}

const text = `slipway: v1
name: noble
system: SYSTEM
MIRROR
packages: [nginx-light, ca-certificates]
files: [{path: /var/www/html/index.html, content: "afloat\n"}]
services: {enable: [nginx]}
network: [{match: "host0", dhcp: true}]
users: [{name: ops, groups: [sudo]}]
probes:
  - {name: page, http: {url: "http://machine:80/", status: 200, contains: afloat}}
  - {name: units, no_failed_units: true}
  - {name: updates, updates: true}
  - {name: release, command: ". /etc/os-release; echo $ID $VERSION_CODENAME", stdout: "ubuntu noble\n"}
  - {name: packages, command: "dpkg --audit", stdout: ""}
`

const osRelease = `PRETTY_NAME="Debian's packages in Ubuntu's layout"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
`

func load(t *testing.T, name, system, mirror string) *machine.Definition {
	t.Helper()
	file := kit.Write(t, filepath.Dir(name), filepath.Base(name), strings.NewReplacer("SYSTEM", system, "MIRROR\n", mirror).Replace(text))
	d, err := machine.Load(file, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// fill brings what Debian's machine of the same definition has into a. Where
// Ubuntu's suites and components differ from Debian's one, packages are spread
// over them.
func fill(t *testing.T, a *archivetest.Archive, s *store.Store, dir string) {
	t.Helper()
	family := deb.New(s)
	d := load(t, filepath.Join(dir, "debian.yaml"), "debian/trixie", "")
	request := distro.Request{Definition: d, Class: plan.Container, Implied: family.Implied(d, plan.Container)}
	choice, err := family.Choose(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	items, err := family.Items(t.Context(), d, choice.Lock.Packages)
	if err != nil {
		t.Fatal(err)
	}
	for i := range items {
		items[i].Dest = filepath.Join(dir, choice.Lock.Packages[i].SHA256)
	}
	fetcher, err := family.Fetcher(d)
	if err == nil {
		err = fetcher.Fetch(t.Context(), items)
	}
	if err != nil {
		t.Fatal(err)
	}
	var adding sync.Mutex
	var all errgroup.Group
	all.SetLimit(runtime.NumCPU())
	for i, p := range choice.Lock.Packages {
		all.Go(func() error {
			data, err := os.ReadFile(items[i].Dest)
			if err != nil {
				return err
			}
			var replace map[string]string
			if p.Name == "base-files" {
				replace = map[string]string{"usr/lib/os-release": osRelease}
			}
			r, err := repack(data, replace)
			if err != nil {
				return err
			}
			adding.Lock()
			defer adding.Unlock()
			a.AddFile(place(archivetest.Deb{Name: p.Name, Version: p.Version, Architecture: p.Arch}), r.control, r.data)
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

func place(d archivetest.Deb) archivetest.Deb {
	switch {
	case strings.HasPrefix(d.Name, "nginx"):
		d.Component = "universe"
	case d.Name == "openssl" || d.Name == "libssl3t64":
		d.Suite = "-security"
	case strings.HasPrefix(d.Name, "libsystemd") || d.Name == "ca-certificates":
		d.Suite, d.Listed = "-updates", "Phased-Update-Percentage: 10\n"
	}
	return d
}

// TestBootNoble chooses, fetches, unpacks and configures a machine from the
// archive, as its distribution's mirror, and starts what was built.
func TestBootNoble(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	w := kit.NewWorld(t)
	s, err := store.Open(w.Store, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := archivetest.NewUbuntu(t)
	a.Archs = []string{runtime.GOARCH}
	fill(t, a, s, w.Dir)

	host, err := sandbox.Detect()
	if err != nil {
		t.Fatal(err)
	}
	family := deb.New(s)
	family.KeyFile = a.KeyFile()
	b := &build.Builder{Store: s, Host: host, Progress: progress.New(os.Stderr, progress.Quiet, false), Families: map[string]distro.Family{"ubuntu": family}}
	d := load(t, filepath.Join(w.Dir, "noble.yaml"), "ubuntu/noble", "mirror: "+a.Serve()+"\n")
	result, err := b.Build(t.Context(), d, build.Options{Class: plan.Container})
	if err != nil {
		t.Fatal(err)
	}
	lock := result.Prepared.Lock
	from := map[string][]string{}
	for _, p := range lock.Packages {
		from[p.Suite] = append(from[p.Suite], p.Name)
	}
	for suite, name := range map[string]string{"noble": "nginx-light", "noble-security": "openssl", "noble-updates": "ca-certificates"} {
		if !slices.Contains(from[suite], name) {
			t.Errorf("%s is not from %s, which gives %v", name, suite, from[suite])
		}
	}
	if err := plan.WriteLock(build.LockFile(d), lock); err != nil {
		t.Fatal(err)
	}
	// The lock vouches for everything from here on: the program, which trusts
	// Ubuntu's own keys, starts what was built, and a change is refused.
	before := w.Host(t)
	r := w.Run("test", d.File, "--on", "container", "--locked", "--offline")
	kit.SkipUnstarted(t, r)
	if r.Status != 0 {
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	t.Logf("%d packages, started in %s\n%s", len(lock.Packages), r.Took, r.Text())
	if left := w.Settled(t, before); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	if r := w.Run("check", d.File, "--refresh", "--lock", filepath.Join(w.Dir, "none")); r.Status != 1 || !strings.Contains(r.Stderr, "the Ubuntu archive's keys") {
		t.Errorf("an archive signed by another key: exit status %d\n%s", r.Status, r.Text())
	}
}
