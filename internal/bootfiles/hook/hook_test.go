package hook

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/bootfiles"
)

// machine makes a root with kernels, their modules and an ESP.
func machine(t *testing.T, loaders ...string) *Machine {
	t.Helper()
	root := t.TempDir()
	m := &Machine{
		Root: root, Helper: []byte("helper"), Arch: "amd64",
		Config: bootfiles.Config{
			Target: "disk", Title: "Test", Machine: "box", Cmdline: "root=LABEL=r console=ttyS0,115200", Loaders: loaders, ESP: "/boot/efi",
		},
		Mounted: func(string) error { return nil },
	}
	put(t, m, "boot/efi/EFI/BOOT/BOOTX64.EFI", "systemd-boot 1")
	addKernel(t, m, "6.1.0-9")
	return m
}

func put(t *testing.T, m *Machine, name, text string) {
	t.Helper()
	full := filepath.Join(m.Root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func addKernel(t *testing.T, m *Machine, version string) {
	t.Helper()
	put(t, m, "boot/vmlinuz-"+version, "kernel "+version)
	put(t, m, "lib/modules/"+version+"/modules.dep", "")
}

func read(t *testing.T, m *Machine, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(m.Root, name))
	if err != nil {
		return "missing: " + err.Error()
	}
	return string(data)
}

func wants(t *testing.T, m *Machine, name, part string) {
	t.Helper()
	if got := read(t, m, name); !strings.Contains(got, part) {
		t.Errorf("%s: %q has no %q", name, got, part)
	}
}

func gone(t *testing.T, m *Machine, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(m.Root, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestKernelsComeAndGo(t *testing.T) {
	m := machine(t, "systemd-boot", "grub", "extlinux")
	if err := m.Install(""); err != nil {
		t.Fatal(err)
	}
	addKernel(t, m, "6.1.0-10")
	if err := m.Install("6.1.0-10"); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"6.1.0-9", "6.1.0-10"} {
		wants(t, m, "boot/efi/box/"+v+"/linux", "kernel "+v)
		wants(t, m, "boot/efi/box/"+v+"/initrd.img", "helper")
		wants(t, m, "boot/efi/loader/entries/box-"+v+".conf", "options root=LABEL=r")
	}
	wants(t, m, "boot/grub/grub.cfg", "set default=6.1.0-10\nset timeout=3")
	wants(t, m, "boot/extlinux/extlinux.conf", "DEFAULT 6.1.0-10\n")
	wants(t, m, "boot/efi/loader/loader.conf", "timeout 3")

	if err := m.Remove("6.1.0-9"); err == nil || !strings.Contains(err.Error(), "still there") {
		t.Errorf("removing a kernel that is installed: %v", err)
	}
	os.Remove(filepath.Join(m.Root, "boot/vmlinuz-6.1.0-9"))
	if err := m.Remove("6.1.0-9"); err != nil {
		t.Fatal(err)
	}
	gone(t, m, "boot/efi/box/6.1.0-9", "boot/efi/loader/entries/box-6.1.0-9.conf", "boot/initrd.img-6.1.0-9")
	wants(t, m, "boot/efi/loader/entries/box-6.1.0-10.conf", "linux /box/6.1.0-10/linux")
	if strings.Contains(read(t, m, "boot/grub/grub.cfg"), "6.1.0-9") {
		t.Error("GRUB still shows the removed kernel")
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Machine)
		want   string
	}{
		{"no ESP", func(m *Machine) { m.Mounted = func(string) error { return errors.New("nothing is mounted there") } }, "not mounted on /boot/efi"},
		{"a full ESP", func(m *Machine) { os.Truncate(filepath.Join(m.Root, "boot/vmlinuz-6.1.0-10"), 1<<42) }, "MiB free"},
		{"no modules", func(m *Machine) { os.RemoveAll(filepath.Join(m.Root, "lib/modules/6.1.0-10")) }, "no modules of kernel 6.1.0-10"},
		{"no kernel", func(m *Machine) { os.Remove(filepath.Join(m.Root, "boot/vmlinuz-6.1.0-10")) }, "no /boot/vmlinuz-6.1.0-10"},
		{"an unknown loader", func(m *Machine) { m.Config.Loaders = []string{"lilo"} }, "lilo"},
		{"no stub", func(m *Machine) { m.Config.Loaders = []string{"uki"} }, "systemd-boot-efi"},
	} {
		m := machine(t, "systemd-boot")
		if err := m.Install(""); err != nil {
			t.Fatal(err)
		}
		before := read(t, m, "boot/efi/loader/loader.conf") + read(t, m, "boot/efi/loader/entries/box-6.1.0-9.conf")
		addKernel(t, m, "6.1.0-10")
		c.change(m)
		if err := m.Install("6.1.0-10"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		after := read(t, m, "boot/efi/loader/loader.conf") + read(t, m, "boot/efi/loader/entries/box-6.1.0-9.conf")
		if before != after {
			t.Errorf("%s: the old kernel's entry changed", c.name)
		}
		wants(t, m, "boot/efi/box/6.1.0-9/linux", "kernel 6.1.0-9")
		gone(t, m, "boot/efi/loader/entries/box-6.1.0-10.conf", "boot/initrd.img-6.1.0-10"+suffix)
	}
}

func TestInterruptedRunIsRepaired(t *testing.T) {
	m := machine(t, "systemd-boot")
	put(t, m, "boot/efi/box/6.1.0-9/linux"+suffix, "half")
	put(t, m, "boot/vmlinuz-6.1.0-9"+suffix, "not a kernel of its own")
	if err := m.Install("6.1.0-9"); err != nil {
		t.Fatal(err)
	}
	wants(t, m, "boot/efi/box/6.1.0-9/linux", "kernel 6.1.0-9")
	gone(t, m, "boot/efi/box/6.1.0-9/linux"+suffix)
}

func TestForeignInitramfs(t *testing.T) {
	m := machine(t, "grub")
	m.Config.Initramfs = "distro"
	m.Config.ESP = ""
	if err := m.Install(""); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(read(t, m, "boot/grub/grub.cfg"), "menuentry") {
		t.Error("a kernel whose initramfs is not made yet is in the menu")
	}
	put(t, m, "boot/initrd.img-6.1.0-9", "theirs")
	if err := m.Install(""); err != nil {
		t.Fatal(err)
	}
	wants(t, m, "boot/initrd.img-6.1.0-9", "theirs")
	wants(t, m, "boot/grub/grub.cfg", "initrd /boot/initrd.img-6.1.0-9")
}

func TestLoaderUpgrade(t *testing.T) {
	m := machine(t, "systemd-boot")
	if err := m.Loader(); err != nil {
		t.Errorf("without the package: %v", err)
	}
	put(t, m, "usr/lib/systemd/boot/efi/systemd-bootx64.efi", "systemd-boot 2")
	if err := m.Loader(); err != nil {
		t.Fatal(err)
	}
	wants(t, m, "boot/efi/EFI/BOOT/BOOTX64.EFI", "systemd-boot 2")
	gone(t, m, "boot/efi/EFI/systemd/systemd-bootx64.efi") // it was not there before
	put(t, m, "boot/efi/EFI/BOOT/BOOTX64.EFI", "another loader")
	if err := m.Loader(); err != nil {
		t.Fatal(err)
	}
	wants(t, m, "boot/efi/EFI/BOOT/BOOTX64.EFI", "another loader")
}

func TestCompare(t *testing.T) {
	older := []string{"", "5.10.0-30-amd64", "6.1", "6.1.0-9-amd64", "6.1.0-10-amd64", "6.1.0-10-amd64-x", "6.12.0-rc3-amd64", "6.12.0-amd64", "6.12.117+deb13-amd64"}
	for i, a := range older {
		for j, b := range older {
			got := Compare(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("Compare(%q, %q) = %d", a, b, got)
			}
		}
	}
	list := []string{"6.1.0-9", "6.12", "6.1.0-10"}
	newestFirst(list)
	if fmt.Sprint(list) != "[6.12 6.1.0-10 6.1.0-9]" {
		t.Errorf("sorted: %v", list)
	}
}

func TestScripts(t *testing.T) {
	for _, s := range Scripts() {
		if strings.HasPrefix(s.Path, "/") || !strings.Contains(s.Data, "/usr/lib/slipway/guest kernel-hook") || strings.HasSuffix(s.Path, "slipway") == false {
			t.Errorf("%+v", s)
		}
	}
}
