package boot

import (
	"bytes"
	"context"
	"strings"
	"testing"

	bootcpio "slipway/internal/bootfiles/cpio"
	"slipway/internal/bootfiles/entries"
	"slipway/internal/machine"
)

// broken assembles the standard disk, damages it, and checks it again.
func broken(t *testing.T, d *machine.Definition, damage func(*assembly)) string {
	t.Helper()
	r := request(t, debian.with(files{"usr/lib/linux-image-6.12.1-amd64/x.dtb": ""}), d, Disk)
	a := &assembly{Request: r, fs: NewFS(r.Manifest, r.Content), root: newOverlay(r.Epoch), esp: newOverlay(r.Epoch)}
	ctx := context.Background()
	for _, step := range []func(context.Context) error{a.findKernels, a.makeInitrds, a.addFstab, a.addLoaders, a.split} {
		if err := step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.check(ctx); err != nil {
		t.Fatalf("before the damage: %v", err)
	}
	damage(a)
	if err := a.split(ctx); err != nil {
		t.Fatal(err)
	}
	err := a.check(ctx)
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestMissingFiles(t *testing.T) {
	extlinux := &machine.Definition{}
	extlinux.Boot.Loader = "extlinux"
	for _, c := range []struct {
		name   string
		d      *machine.Definition
		damage func(*assembly)
		want   []string
	}{
		{"kernel on the ESP", &machine.Definition{}, func(a *assembly) { delete(a.esp.entries, "web/6.12.1-amd64/linux") },
			[]string{"loader/entries/web-6.12.1-amd64.conf: the entry", "names /web/6.12.1-amd64/linux, which is not there"}},
		{"initramfs in the root", &machine.Definition{}, func(a *assembly) { delete(a.root.entries, "boot/initrd.img-6.12.1-amd64") },
			[]string{"grub.cfg: the entry", "names /boot/initrd.img-6.12.1-amd64, which is not there"}},
		{"both", &machine.Definition{}, func(a *assembly) {
			delete(a.esp.entries, "web/6.12.1-amd64/initrd.img")
			delete(a.root.entries, "boot/initrd.img-6.12.1-amd64")
		}, []string{"grub.cfg", "loader/entries"}},
		{"GRUB's module", &machine.Definition{}, func(a *assembly) { delete(a.root.entries, "boot/grub/i386-pc/ext2.mod") },
			[]string{"GRUB's module ext2.mod is not in /boot/grub/i386-pc"}},
		{"an empty menu", &machine.Definition{}, func(a *assembly) { a.root.file("boot/grub/grub.cfg", 0o644, []byte("# nothing\n")) },
			[]string{"grub.cfg has no entry"}},
		{"an entry without kernel", &machine.Definition{}, func(a *assembly) {
			a.esp.file("loader/entries/x.conf", 0o644, []byte("title x\n"))
		}, []string{`loader/entries/x.conf: the entry "x" names no kernel`}},
		{"device trees", extlinux, func(a *assembly) {
			a.menu.FDTDir = "/boot/dtbs-VERSION"
			a.addFiles([]entries.File{a.menu.Extlinux()})
		}, []string{"extlinux.conf", "names the folder /boot/dtbs-6.12.1-amd64, which is not there"}},
	} {
		got := broken(t, c.d, c.damage)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got %q, want %q", c.name, got, want)
			}
		}
	}
}

func TestDistroInitramfs(t *testing.T) {
	archive := func(names ...string) string {
		var b bytes.Buffer
		w := bootcpio.NewWriter(&b)
		for _, n := range names {
			w.File("usr/lib/modules/6.12.1-amd64/"+n, 0o644, []byte("code"))
		}
		w.Close()
		return b.String()
	}
	d := &machine.Definition{}
	d.Boot.Initramfs = "distro"
	with := debian.with(files{"boot/initrd.img-6.12.1-amd64": archive("kernel/ext4.ko.xz")})
	r := must(t, with, d, Disk)
	if got := read(t, r, espTree, "web/6.12.1-amd64/initrd.img"); got != with["boot/initrd.img-6.12.1-amd64"] {
		t.Errorf("the ESP has another initramfs, of %d bytes", len(got))
	}
	with = debian.with(files{"boot/initrd.img-6.12.1-amd64": archive("kernel/xfs.ko.xz")})
	if _, err := assemble(t, with, d, Disk); err == nil || !strings.Contains(err.Error(), "has no module ext4, which the root (ext4) needs") {
		t.Errorf("without the root's module: %v", err)
	}
}

func TestNoKernelAtAll(t *testing.T) {
	d := &machine.Definition{Kernel: []machine.Kernel{{Package: "none"}}}
	r := must(t, debian.without("boot/vmlinuz-6.12.1-amd64"), d, Disk)
	if r.Kernel != nil || r.BIOS != nil || len(r.Warnings) > 0 || len(r.Trees[espTree].Entries) != 1 {
		t.Errorf("a disk without kernel: %+v", r)
	}
	if _, err := assemble(t, debian, d, RAM); err == nil || !strings.Contains(err.Error(), "has no kernel") {
		t.Errorf("in RAM: %v", err)
	}
}
