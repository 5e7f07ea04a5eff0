package boot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/pe"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/internal/bootfiles"
	"slipway/internal/machine"
)

// The partitions of a machine that names none, by index.
const (
	espTree  = 0
	rootTree = 2
)

func TestStandardDisk(t *testing.T) {
	d := &machine.Definition{}
	r := must(t, debian, d, Disk)
	if len(r.Trees) != 3 || r.Trees[1] != nil || r.BIOS == nil || len(r.Warnings) > 0 {
		t.Fatalf("trees %v, BIOS %v, warnings %q", r.Trees, r.BIOS, r.Warnings)
	}
	const line = "root=UUID=0f0f0f0f-0000-4000-8000-000000000001 rootfstype=ext4 rw console=ttyS0,115200 panic=10"
	if r.Cmdline != line || !slices.Equal(r.Kernels, []string{"6.12.1-amd64"}) {
		t.Errorf("command line %q, kernels %q", r.Cmdline, r.Kernels)
	}
	for name, want := range map[string]string{
		"EFI/BOOT/BOOTX64.EFI":                 efi("boot"),
		"EFI/systemd/systemd-bootx64.efi":      efi("boot"),
		"web/6.12.1-amd64/linux":               efi("6.12.1-amd64"),
		"web/6.12.1-amd64/initrd.img":          read(t, r, rootTree, "boot/initrd.img-6.12.1-amd64"),
		"loader/loader.conf":                   "timeout 0\ndefault web-*\nconsole-mode keep\neditor yes\n",
		"loader/entries/web-6.12.1-amd64.conf": "title Debian GNU/Linux 13 (trixie)\nversion 6.12.1-amd64\nsort-key web\nlinux /web/6.12.1-amd64/linux\ninitrd /web/6.12.1-amd64/initrd.img\noptions " + line + "\n",
	} {
		if got := read(t, r, espTree, name); got != want || got == "" {
			t.Errorf("%s on the ESP: got %.300q, want %.300q", name, got, want)
		}
	}
	fstab := "UUID=1234-ABCD\t/boot/efi\tvfat\tumask=0077,nofail,x-systemd.automount,x-systemd.device-timeout=10\t0\t2\n" +
		"UUID=0f0f0f0f-0000-4000-8000-000000000001\t/\text4\tdefaults\t0\t1\ntmpfs\t/tmp\ttmpfs\tsize=30%\t0\t0\n"
	if got := read(t, r, rootTree, "etc/fstab"); got != fstab {
		t.Errorf("fstab:\n%s\nwant\n%s", got, fstab)
	}
	root := NewFS(r.Trees[rootTree], r.Content)
	for _, name := range []string{"boot/efi", "etc/kernel/postinst.d/zz-slipway", "etc/kernel/postrm.d/zz-slipway", "usr/lib/slipway/guest",
		"boot/grub/grub.cfg", "boot/grub/i386-pc/ext2.mod", "boot/grub/i386-pc/fshelp.mod", "boot/grub/i386-pc/command.lst", "srv/www/index.html"} {
		if root.Resolve(name) == nil {
			t.Errorf("the root has no %s", name)
		}
	}
	cfg, err := bootfiles.Decode([]byte(read(t, r, rootTree, bootfiles.HookPath)))
	if err != nil || cfg.Cmdline != line || cfg.ESP != "/boot/efi" || !slices.Equal(cfg.Loaders, []string{"grub", "systemd-boot"}) ||
		cfg.UUID == "" || !cfg.Grow || !slices.Contains(cfg.Modules, "ext4") {
		t.Errorf("the hook's configuration is %+v, %v", cfg, err)
	}
}

// Equal requests give equal trees, contents and boot code.
func TestDeterministic(t *testing.T) {
	print := func() string {
		r := must(t, debian.with(older), &machine.Definition{}, Disk)
		h := sha256.New()
		for _, m := range r.Trees {
			if m != nil {
				fmt.Fprintln(h, m.Digest())
			}
		}
		code, core, err := r.BIOS.Place(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		core = bytes.ReplaceAll(core, []byte(os.TempDir()), nil) // our maker writes down its arguments
		fmt.Fprintf(h, "%x %d", code, len(core))
		return fmt.Sprintf("%x", h.Sum(nil))
	}
	if a, b := print(), print(); a != b {
		t.Error("two assemblies of the same machine differ")
	}
}

func TestSeveralKernels(t *testing.T) {
	both := debian.with(older)
	r := must(t, both, &machine.Definition{}, Disk)
	if !slices.Equal(r.Kernels, []string{"6.12.1-amd64", "6.1.9-amd64"}) || !strings.HasPrefix(read(t, r, espTree, "loader/loader.conf"), "timeout 3\ndefault web-*\n") {
		t.Errorf("kernels %q, %s", r.Kernels, read(t, r, espTree, "loader/loader.conf"))
	}
	d := &machine.Definition{Kernel: []machine.Kernel{
		{Package: "linux-image-6.1.9-amd64", Cmdline: []string{"quiet"}}, {Package: "linux-image-amd64"},
	}}
	d.Boot.Timeout = 7
	r = must(t, both, d, Disk)
	if !slices.Equal(r.Kernels, []string{"6.1.9-amd64", "6.12.1-amd64"}) || !strings.HasSuffix(r.Cmdline, " panic=10 quiet") {
		t.Errorf("kernels %q, command line %q", r.Kernels, r.Cmdline)
	}
	if got := read(t, r, espTree, "loader/loader.conf"); !strings.HasPrefix(got, "timeout 7\ndefault web-6.1.9-amd64.conf\n") {
		t.Errorf("loader.conf: %s", got)
	}
	if got := read(t, r, rootTree, "boot/grub/grub.cfg"); !strings.Contains(got, "set default=6.1.9-amd64\n") || strings.Count(got, "menuentry") != 2 {
		t.Errorf("grub.cfg: %s", got)
	}
}

func TestUnifiedImages(t *testing.T) {
	d := &machine.Definition{}
	d.Boot.Loader = "uki"
	r := must(t, debian, d, Disk)
	data := read(t, r, espTree, "EFI/Linux/web-6.12.1-amd64.efi")
	f, err := pe.NewFile(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	line, err := f.Section(".cmdline").Data()
	if err != nil || string(bytes.TrimRight(line, "\x00")) != r.Cmdline {
		t.Errorf("command line %q, %v, want %q", line, err, r.Cmdline)
	}
	if f.Section(".linux") == nil || f.Section(".initrd") == nil || read(t, r, espTree, "web/6.12.1-amd64/linux") != "" {
		t.Error("kernel or initramfs is missing, or beside it")
	}
}

func TestVMTarget(t *testing.T) {
	r := must(t, debian, &machine.Definition{}, VM)
	if !strings.Contains(r.Cmdline, " panic=-1") || r.Kernel == nil || r.Initrd == nil || r.Memory != 0 {
		t.Errorf("command line %q", r.Cmdline)
	}
	var b bytes.Buffer
	if err := r.Kernel.Write(context.Background(), &b); err != nil || b.String() != efi("6.12.1-amd64") || r.Kernel.Size != int64(b.Len()) {
		t.Errorf("kernel of %d bytes, %v", b.Len(), err)
	}
	b.Reset()
	if err := r.Initrd.Write(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	names, err := archived(&b)
	if err != nil || !names["ext4"] || !names["crc16"] || names["radio"] {
		t.Errorf("modules %v, %v", names, err)
	}
}

func TestNoDpkgNoHook(t *testing.T) {
	r := must(t, debian.without("usr/bin/dpkg"), &machine.Definition{}, Disk)
	for _, e := range r.Trees[rootTree].Entries {
		if strings.Contains(e.Path, "slipway") {
			t.Errorf("the machine has %s", e.Path)
		}
	}
}

func TestErrors(t *testing.T) {
	uefi := func(change func(*machine.Definition)) *machine.Definition {
		d := &machine.Definition{}
		change(d)
		return d
	}
	for _, c := range []struct {
		name  string
		files files
		d     *machine.Definition
		want  string
	}{
		{"no kernel", debian.without("boot/vmlinuz-6.12.1-amd64"), &machine.Definition{}, "leave the key kernel away"},
		{"wrong package", debian, uefi(func(d *machine.Definition) { d.Kernel = []machine.Kernel{{Package: "linux-image-rt"}} }), "no kernel of the package linux-image-rt"},
		{"no systemd-boot", debian.without("usr/lib/systemd/boot/efi/systemd-bootx64.efi"), &machine.Definition{}, "add the package systemd-boot-efi"},
		{"no ESP", debian, uefi(func(d *machine.Definition) {
			d.Boot.Firmware = []string{"uefi"}
			d.Disk.Partitions = []machine.Partition{{Use: "root"}}
		}), "add one with use: esp"},
		{"no place for GRUB", debian, uefi(func(d *machine.Definition) {
			d.Boot.Firmware = []string{"bios"}
			d.Disk.Partitions = []machine.Partition{{Use: "root"}}
		}), "add a partition with use: bios"},
		{"no root", debian, uefi(func(d *machine.Definition) { d.Disk.Partitions = []machine.Partition{{Use: "esp"}} }), "add one with use: root"},
		{"module of the root", debian.without("usr/lib/modules/6.12.1-amd64/kernel/ext4.ko"), &machine.Definition{}, "ext4"},
		{"unknown module", debian, uefi(func(d *machine.Definition) { d.Kernel = []machine.Kernel{{Modules: []string{"warp"}}} }), "no module warp"},
		{"firmware", debian, uefi(func(d *machine.Definition) { d.Kernel = []machine.Kernel{{Modules: []string{"radio"}}} }), "asks for firmware that the machine has not (radio/a.bin, radio/b.bin)"},
		{"two rates", debian, uefi(func(d *machine.Definition) {
			d.Kernel = []machine.Kernel{{Cmdline: []string{"console=ttyS0,9600"}}}
		}), "the console ttyS0 has two rates, 115200 and 9600"},
		{"no distro initramfs", debian, uefi(func(d *machine.Definition) { d.Boot.Initramfs = "distro" }), "add the package that makes it"},
		{"distro initramfs without root", debian.with(files{"boot/initrd.img-6.12.1-amd64": "070701"}), uefi(func(d *machine.Definition) { d.Boot.Initramfs = "distro" }), "looking into the initramfs"},
		{"none, but a module", debian, uefi(func(d *machine.Definition) { d.Boot.Initramfs = "none" }), "without an initramfs nothing loads it"},
		{"GRUB and squashfs", debian, uefi(func(d *machine.Definition) {
			d.Boot.Firmware = []string{"bios"}
			d.Disk.Partitions = []machine.Partition{{Use: "bios"}, {Use: "root", Filesystem: "squashfs"}}
		}), "add a partition with use: boot or use: esp"},
		{"large sectors", debian, uefi(func(d *machine.Definition) {
			d.Boot.Firmware = []string{"bios"}
			d.Disk.SectorSize = 4096
		}), "no BIOS boots a disk with sectors of 4096 bytes"},
		{"no host kernel", debian, uefi(func(d *machine.Definition) { d.Kernel = []machine.Kernel{{Package: "host"}} }), "this computer has no kernel in /boot"},
		{"no such file", debian, uefi(func(d *machine.Definition) { d.Kernel = []machine.Kernel{{File: "/nowhere/bzImage"}} }), "/nowhere/bzImage"},
	} {
		_, err := assemble(t, c.files, c.d, Disk)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "making web bootable: ") {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestFirmware(t *testing.T) {
	d := &machine.Definition{Kernel: []machine.Kernel{{Modules: []string{"radio"}}}}
	with := debian.with(files{"usr/lib/firmware/radio/b.bin": "waves"})
	r := must(t, with, d, Disk)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "radio/a.bin (1 of 2 files)") {
		t.Errorf("warnings %q", r.Warnings)
	}
	r = must(t, with.with(files{"usr/lib/firmware/radio/a.bin": "waves"}), d, Disk)
	if len(r.Warnings) != 0 {
		t.Errorf("warnings %q", r.Warnings)
	}
}

// The default firmwares are two, and a disk that has room for one boots that.
func TestMBR(t *testing.T) {
	d := &machine.Definition{}
	d.Disk = machine.Disk{Table: "msdos", Partitions: []machine.Partition{{Use: "root", Filesystem: "ext4", Label: "system"}}}
	r := must(t, debian, d, Disk)
	if r.BIOS == nil || len(r.Trees) != 1 || len(r.Warnings) != 0 {
		t.Errorf("BIOS %v, warnings %q", r.BIOS, r.Warnings)
	}
	d.Disk.Table = "none"
	r = must(t, debian, d, Disk)
	if r.BIOS != nil || !strings.HasPrefix(r.Cmdline, "root=UUID=") {
		t.Errorf("without a table: BIOS %v, %q", r.BIOS, r.Cmdline)
	}
}

func TestSquashfsRoot(t *testing.T) {
	d := &machine.Definition{}
	d.Disk.Partitions = []machine.Partition{{Use: "esp"}, {Use: "bios"}, {Use: "root", Filesystem: "squashfs"}}
	r := must(t, debian, d, Disk)
	if want := "root=PARTUUID=aaaaaaaa-0000-4000-8000-000000000003 rootfstype=squashfs ro slipway.overlay=tmpfs "; !strings.HasPrefix(r.Cmdline, want) {
		t.Errorf("command line %q, want %q", r.Cmdline, want)
	}
	if got := read(t, r, espTree, "grub/grub.cfg"); !strings.Contains(got, "linux /web/6.12.1-amd64/linux ") || read(t, r, espTree, "grub/i386-pc/fat.mod") == "" {
		t.Errorf("GRUB's menu on the ESP: %s", got)
	}
	if fstab := read(t, r, rootTree, "etc/fstab"); strings.Contains(fstab, "\t/\t") {
		t.Errorf("fstab mounts the root: %s", fstab)
	}
}

func TestPartitionsGetTheirFiles(t *testing.T) {
	d := &machine.Definition{State: []string{"/var/lib/data", "/var/lib/other"}}
	d.Disk.Partitions = []machine.Partition{{Use: "esp"}, {Use: "bios"}, {Use: "boot"}, {Use: "swap"}, {Use: "state"}, {Use: "data", Mount: "/srv", Options: "noatime"}, {Use: "root"}}
	r := must(t, debian, d, Disk)
	for i, want := range map[int]string{2: "vmlinuz-6.12.1-amd64", 4: "var/lib/data/start", 5: "www/index.html", 6: "etc/fstab"} {
		if read(t, r, i, want) == "" {
			t.Errorf("partition %d has no %s", i, want)
		}
	}
	root := NewFS(r.Trees[6], r.Content)
	for name, there := range map[string]bool{"boot": true, "boot/vmlinuz-6.12.1-amd64": false, "srv": true, "srv/www": false, "var/lib/data": true, "var/lib/data/start": false,
		"var/lib/other": true, "var/lib/slipway/state": true} {
		if got := root.Resolve(name) != nil; got != there {
			t.Errorf("%s in the root: %v, want %v", name, got, there)
		}
	}
	fstab := read(t, r, 6, "etc/fstab")
	for _, line := range []string{
		"UUID=0f0f0f0f-0000-4000-8000-000000000002\t/boot\text4\tdefaults\t0\t2\n",
		"UUID=0f0f0f0f-0000-4000-8000-000000000005\tnone\tswap\tsw\t0\t0\n",
		"UUID=0f0f0f0f-0000-4000-8000-000000000003\t/var/lib/slipway/state\text4\tdefaults\t0\t2\n",
		"/var/lib/slipway/state/var/lib/data\t/var/lib/data\tnone\tbind,x-systemd.requires-mounts-for=/var/lib/slipway/state\t0\t0\n",
		"UUID=0f0f0f0f-0000-4000-8000-000000000004\t/srv\text4\tnoatime\t0\t2\n",
	} {
		if !strings.Contains(fstab, line) {
			t.Errorf("fstab has no line %q:\n%s", line, fstab)
		}
	}
	if got := read(t, r, 2, "grub/grub.cfg"); !strings.Contains(got, "linux /vmlinuz-6.12.1-amd64 ") {
		t.Errorf("GRUB's menu on the boot partition: %s", got)
	}
}

// A line of the definition takes the place of the one that the disk gives.
func TestOwnFstab(t *testing.T) {
	own := "/dev/mmcblk0p1\t/\text4\trw,noatime\t0\t1\n"
	r := must(t, debian.with(files{"etc/fstab": own, "etc/securetty": "console\n"}), &machine.Definition{}, Disk)
	if got := read(t, r, rootTree, "etc/fstab"); strings.Count(got, "\t/\t") != 1 || !strings.HasSuffix(got, own) {
		t.Errorf("fstab: %s", got)
	}
	if got := read(t, r, rootTree, "etc/securetty"); got != "console\nttyS0\n" {
		t.Errorf("securetty: %s", got)
	}
}

func TestHostKernel(t *testing.T) {
	d := &machine.Definition{Kernel: []machine.Kernel{{Package: "host"}}}
	r := request(t, debian, d, VM)
	put := func(name, text string) {
		full := filepath.Join(r.HostRoot, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("boot/vmlinuz-7.1.0", efi("7.1.0"))
	put("boot/vmlinuz-6.9.0", efi("6.9.0"))
	put("boot/initrd.img-7.1.0", "host's initramfs")
	put("boot/initrd.img-6.9.0", "the other")
	boots := func(version, initrd string) {
		t.Helper()
		got, err := Assemble(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := got.Initrd.Write(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(got.Kernels, version) || got.Kernels[0] != version || b.String() != initrd || len(got.Warnings) > 0 && got.BIOS != nil {
			t.Errorf("kernels %q, initramfs %.40q, warnings %q", got.Kernels, b.String(), got.Warnings)
		}
	}
	boots("7.1.0", "host's initramfs")
	if err := os.Symlink("boot/vmlinuz-6.9.0", filepath.Join(r.HostRoot, "vmlinuz")); err != nil {
		t.Fatal(err)
	}
	boots("6.9.0", "the other")
}

func TestKernelFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bzImage")
	if err := os.WriteFile(file, []byte(efi("9.9.9-mine")), 0o644); err != nil {
		t.Fatal(err)
	}
	r := must(t, debian, &machine.Definition{Kernel: []machine.Kernel{{File: file}, {Package: "auto"}}}, Disk)
	if !slices.Equal(r.Kernels, []string{"9.9.9-mine", "6.12.1-amd64"}) || read(t, r, rootTree, "boot/vmlinuz-9.9.9-mine") != efi("9.9.9-mine") {
		t.Errorf("kernels %q", r.Kernels)
	}
}

func TestExtlinux(t *testing.T) {
	d := &machine.Definition{}
	d.Boot.Loader, d.Boot.Firmware = "extlinux", []string{"uefi"}
	d.Disk.Partitions = []machine.Partition{{Use: "root"}}
	r := must(t, debian.with(files{"usr/lib/linux-image-6.12.1-amd64/board.dtb": "tree"}), d, Disk)
	got := read(t, r, 0, "boot/extlinux/extlinux.conf")
	for _, want := range []string{"KERNEL /boot/vmlinuz-6.12.1-amd64\n", "INITRD /boot/initrd.img-6.12.1-amd64\n", "FDTDIR /usr/lib/linux-image-6.12.1-amd64\n", "APPEND " + r.Cmdline + "\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("extlinux.conf has no %q:\n%s", want, got)
		}
	}
}
