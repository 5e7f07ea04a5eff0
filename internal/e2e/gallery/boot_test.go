package gallery

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/e2e/kit"
)

// extras are what a recipe needs of this host and the gallery does not hold.
func extras(t *testing.T, name string) []string {
	t.Helper()
	switch name {
	case "bare-guest":
		return hostKernel(t)
	case "unikernel":
		server := filepath.Join(kit.TempDir(t), "server")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", server, filepath.Join(kit.Root(), "gallery/unikernel/server.go"))
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building the server: %v\n%s", err, out)
		}
		return []string{"--set", "files.0.from=" + server}
	}
	return nil
}

// hostKernel gives a guest the kernel of this host; one without any gets that
// of another machine, with the initramfs that slipway makes for it.
func hostKernel(t *testing.T) []string {
	t.Helper()
	if found, _ := filepath.Glob("/boot/vmlinuz*"); len(found) > 0 && modulesThere(found) {
		return nil
	}
	t.Log("this host has no kernel in /boot: the guest gets one from its own tree")
	return []string{"--set", "kernel.package=auto", "--set", "probes=[{name: page, http: {url: \"http://machine:80/\", contains: afloat}}, " +
		"{name: no table, command: \"findmnt -n -o SOURCE /\", stdout: /dev/vda}]"}
}

func modulesThere(kernels []string) bool {
	for _, k := range kernels {
		version := strings.TrimPrefix(filepath.Base(k), "vmlinuz-")
		if _, err := os.Stat(filepath.Join("/lib/modules", version, "modules.dep")); err == nil {
			return true
		}
	}
	return false
}

// TestGalleryShares: two virtual machines write into one folder of the host,
// and read what the other wrote.
func TestGalleryShares(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	kit.LockQEMU(t)
	w := kit.SharedWorld(t)
	shared := kit.TempDir(t)
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	args := func(name string) []string {
		return []string{"up", filepath.Join(kit.Root(), "gallery", name+".yaml"), "--on", "vm",
			"--set", "shares=[{host: " + shared + ", path: /srv/shared}]"}
	}
	for _, name := range []string{"share-one", "share-two"} {
		r := w.Run(args(name)...)
		kit.SkipUnstarted(t, r)
		if r.Status != 0 {
			t.Fatalf("exit status %d\n%s", r.Status, r.Text())
		}
	}
	if out := w.Must("shell", "share-one", "cat", "/srv/shared/two").Stdout; out != "from two\n" {
		t.Errorf("the first machine reads %q of what the second wrote", out)
	}
	if b, err := os.ReadFile(filepath.Join(shared, "one")); err != nil || string(b) != "from one\n" {
		t.Errorf("the host reads %q, %v", b, err)
	}
	w.Must("down", "--all")
}
