// Package alpine runs slipway on a host that has nothing but busybox: its one
// binary in the root of an Alpine minirootfs, with the store in memory.
package alpine

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
)

func TestMain(m *testing.M) { kit.Main(m) }

// fixture finds a file of the fixtures beside the repository.
func fixture(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("SLIPWAY_FIXTURES")
	if dir == "" {
		dir = filepath.Join(kit.Root(), "../shared/fixtures")
	}
	found, _ := filepath.Glob(filepath.Join(dir, name))
	if len(found) == 0 {
		t.Skipf("the fixtures have no %s (SLIPWAY_FIXTURES names their folder)", name)
	}
	return found[len(found)-1]
}

// hostRoot unpacks the minirootfs and mounts what a running host has.
func hostRoot(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to enter another root")
	}
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	image := fixture(t, "alpine/alpine-minirootfs-*-"+arch+".tar.gz")
	root := filepath.Join(kit.TempDir(t), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-xzpf", image, "-C", root).CombinedOutput(); err != nil {
		t.Skipf("cannot unpack the minirootfs: %v %s", err, out)
	}
	for _, name := range []string{"apt-get", "dpkg", "newuidmap"} {
		for _, dir := range []string{"bin", "usr/bin", "sbin", "usr/sbin"} {
			if _, err := os.Lstat(filepath.Join(root, dir, name)); err == nil {
				t.Fatalf("the busybox host has %s", name)
			}
		}
	}
	data, err := os.ReadFile(kit.Binary(t))
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "usr/bin/slipway"), data, 0o755)
	}
	if err == nil {
		data, err = os.ReadFile("/etc/resolv.conf")
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "etc/resolv.conf"), data, 0o644)
	}
	if err == nil {
		data, err = os.ReadFile("/etc/hosts")
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "etc/hosts"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// enter is run in a mount namespace of its own, which ends with it.
const enter = `set -e
root=$1; shift
mount --make-rprivate /
mount --rbind /proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o size=3g,mode=755 tmpfs "$root/tmp"
exec chroot "$root" /bin/sh -c 'export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root; cd /tmp; . /test.sh'
`

// TestAlpineHostBuilds builds minbase, starts a machine from it and takes it
// down, on such a host and in memory only.
func TestAlpineHostBuilds(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	root := hostRoot(t)
	set := ""
	if mirror := kit.Mirror(t); mirror != "" {
		set = fmt.Sprintf("--set mirror=%s", mirror)
	}
	kit.Write(t, root, "min.yaml", "slipway: v1\nname: min\nsystem: debian/trixie\ninit: none\n")
	port := freePort(t)
	kit.Write(t, root, "run.yaml", fmt.Sprintf(`slipway: v1
name: run
system: debian/trixie
packages: [nginx-light]
files: [{path: /var/www/html/index.html, content: "afloat on alpine\n"}]
services: {enable: [nginx]}
ports: ["%d:80"]
probes:
  - {name: page, http: {url: "http://machine:80/", contains: afloat}}
`, port))
	kit.Write(t, root, "test.sh", strings.Join([]string{
		"set -ex",
		"export SLIPWAY_STORE=/tmp/store SLIPWAY_RUNTIME=/tmp/run",
		"slipway version",
		"slipway doctor",
		"slipway build /min.yaml " + set + " -o /tmp/min.tar.zst",
		"ls -l /tmp/min.tar.zst",
		"slipway test /run.yaml " + set,
		"slipway up /run.yaml " + set,
		fmt.Sprintf("wget -qO- http://127.0.0.1:%d/", port),
		"slipway shell run cat /etc/debian_version",
		"slipway reset run",
		"slipway down run",
		"slipway ls",
	}, "\n")+"\n")
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	begin := time.Now()
	cmd := exec.CommandContext(ctx, "sh", "-c", enter, "sh", root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		if v := os.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("took %s\n%s", time.Since(begin), out)
	if !regexp.MustCompile(`(?s)proved in .*: 1 of 1 probe.*\nafloat on alpine\n`).Match(out) {
		t.Errorf("nothing was proved:\n%s", out)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
