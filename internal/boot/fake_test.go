package boot

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/machine"
	"slipway/internal/tree"
)

// files is a tree for tests: content by path. A path that ends with a slash is
// a folder, a content that begins with -> a link.
type files map[string]string

func (f files) with(more files) files {
	out := files{}
	for _, m := range []files{f, more} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func (f files) without(names ...string) files {
	out := f.with(nil)
	for _, n := range names {
		delete(out, n)
	}
	return out
}

func (f files) tree() (*tree.Manifest, tree.Bytes) {
	o := newOverlay(1000)
	o.dir(".")
	for name, text := range f {
		target, link := strings.CutPrefix(text, "->")
		switch {
		case strings.HasSuffix(name, "/"):
			o.dir(strings.TrimSuffix(name, "/"))
		case link:
			o.put(tree.Entry{Path: name, Type: tree.Symlink, Mode: 0o777, Target: target})
		default:
			o.file(name, 0o644, []byte(text))
		}
	}
	return o.over(&tree.Manifest{}), o.content
}

// efi makes an EFI program that is nothing but headers and one section.
func efi(text string) string {
	b := make([]byte, 0x600)
	put := func(at int, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
	copy(b, "MZ")
	put(60, 0x80)
	copy(b[0x80:], "PE\x00\x00")
	const coff, opt = 0x84, 0x84 + 20
	put(coff, 1<<16|0x8664)
	put(coff+16, 240)
	put(opt, 0x20b)
	put(opt+32, 0x1000)
	put(opt+36, 0x200)
	put(opt+56, 0x5000)
	put(opt+60, 0x400)
	put(opt+108, 16)
	section := opt + 240
	copy(b[section:], ".text")
	put(section+8, 0x200)
	put(section+12, 0x4000)
	put(section+16, 0x200)
	put(section+20, 0x400)
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x20e:], 0x300)
	copy(b[0x500:], text+" (somebody@somewhere) #1")
	return string(b)
}

// debian is a machine with one kernel, whose modules are in two states: ext4
// and squashfs are files, the rest is part of it.
var debian = files{
	"usr/lib/os-release":  "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n",
	"etc/os-release":      "->../usr/lib/os-release",
	"etc/fstab":           unconfigured + "tmpfs\t/tmp\ttmpfs\tsize=30%\t0\t0\n",
	"lib":                 "->usr/lib",
	"usr/bin/dpkg":        "program",
	"var/lib/dpkg/status": "Package: linux-image-amd64\nVersion: 1\nDepends: linux-image-6.12.1-amd64 (= 6.12.1-1)\n\nPackage: x\n",
	"var/lib/dpkg/info/linux-image-6.12.1-amd64.list":      "/.\n/boot\n/boot/vmlinuz-6.12.1-amd64\n",
	"usr/lib/systemd/boot/efi/systemd-bootx64.efi":         efi("boot"),
	"usr/lib/systemd/boot/efi/linuxx64.efi.stub":           efi("stub"),
	"boot/vmlinuz-6.12.1-amd64":                            efi("6.12.1-amd64"),
	"boot/config-6.12.1-amd64":                             "\nCONFIG_RD_ZSTD=y\n",
	"usr/lib/modules/6.12.1-amd64/modules.dep":             "kernel/ext4.ko: kernel/crc16.ko\nkernel/crc16.ko:\nkernel/squashfs.ko:\nkernel/radio.ko:\n",
	"usr/lib/modules/6.12.1-amd64/modules.builtin":         "kernel/virtio_pci.ko\nkernel/virtio_blk.ko\nkernel/virtio_net.ko\nkernel/virtio_console.ko\nkernel/overlay.ko\nkernel/loop.ko\n",
	"usr/lib/modules/6.12.1-amd64/kernel/ext4.ko":          module(),
	"usr/lib/modules/6.12.1-amd64/kernel/crc16.ko":         module(),
	"usr/lib/modules/6.12.1-amd64/kernel/squashfs.ko":      module(),
	"usr/lib/modules/6.12.1-amd64/kernel/radio.ko":         module("radio/a.bin", "radio/b.bin"),
	"srv/www/index.html":                                   "afloat",
	"var/lib/data/start":                                   "first",
	"dev/":                                                 "",
	"usr/lib/modules/6.12.1-amd64/modules.builtin.modinfo": "overlay.license=GPL\x00",
}

// older adds a second kernel.
var older = files{
	"var/lib/dpkg/info/linux-image-6.1.9-amd64.list": "/boot/vmlinuz-6.1.9-amd64\n",
	"boot/vmlinuz-6.1.9-amd64":                       efi("6.1.9-amd64"),
	"usr/lib/modules/6.1.9-amd64/modules.dep":        "",
	"usr/lib/modules/6.1.9-amd64/modules.builtin":    "kernel/ext4.ko\nkernel/virtio_pci.ko\nkernel/virtio_blk.ko\nkernel/virtio_net.ko\nkernel/virtio_console.ko\n",
}

// module makes an ELF file whose .modinfo asks for firmware.
func module(firmware ...string) string {
	info := "license=GPL\x00"
	for _, f := range firmware {
		info += "firmware=" + f + "\x00"
	}
	names := "\x00.modinfo\x00.shstrtab\x00"
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	le := func(v any) { binary.Write(&b, binary.LittleEndian, v) }
	le([]uint16{1, 62})                                     // relocatable, x86-64
	le(uint32(1))                                           // version
	le([]uint64{0, 0, uint64(64 + len(info) + len(names))}) // entry, segments, sections
	le(uint32(0))                                           // flags
	le([]uint16{64, 0, 0, 64, 3, 2})                        // sizes and counts; names are in section 2
	b.WriteString(info + names)                             // at 64
	section := func(name, kind uint32, offset, size int) {
		le([]uint32{name, kind})
		le([]uint64{0, 0, uint64(offset), uint64(size)})
		le([]uint32{0, 0})
		le([]uint64{1, 0})
	}
	section(0, 0, 0, 0)
	section(1, 1, 64, len(info))
	section(10, 3, 64+len(info), len(names))
	return b.String()
}

// fakeTools has a GRUB whose maker writes down what it is asked for.
type fakeTools struct{ dir string }

func newFakeTools(t *testing.T) fakeTools {
	dir := t.TempDir()
	for _, platform := range []string{"i386-pc", "x86_64-efi"} {
		base := filepath.Join(dir, "usr/lib/grub", platform)
		if err := os.MkdirAll(base, 0o755); err != nil {
			t.Fatal(err)
		}
		put := func(name, text string) {
			if err := os.WriteFile(filepath.Join(base, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range append(append([]string{"fshelp", "extra"}, grubModules...), grubFirmware[platform]...) {
			put(m+".mod", "module "+m)
		}
		put("moddep.lst", "ext2: fshelp\nnormal: extra fshelp\nboot:\n")
		put("command.lst", "ls: ls\n")
		put("boot.img", string(bootSector()))
	}
	return fakeTools{dir}
}

// grubMaker writes a core.img of three sectors that says how it was made.
const grubMaker = `out=; for a in "$@"; do [ "$last" = -o ] && out=$a; [ "$last" = -c ] && config=$a; last=$a; done
{ head -c 500 /dev/zero; printf '\0\0\0\0\0\0\0\0\2\0\040\10'; { echo "$@"; cat "$config"; } | head -c 1024; } > "$out"
truncate -s 1536 "$out"`

func (f fakeTools) Command(ctx context.Context, set, program string, args ...string) (*exec.Cmd, error) {
	return exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", grubMaker, program}, args...)...), nil
}

func (f fakeTools) Path(_ context.Context, set, name string) (string, error) {
	full := filepath.Join(f.dir, name)
	_, err := os.Stat(full)
	return full, err
}

func bootSector() []byte {
	b := make([]byte, 512)
	copy(b[grubDriveCheck:], "\xeb\x05")
	b[510], b[511] = 0x55, 0xaa
	return b
}

// request readies a tree for a target, with the partitions of the definition.
func request(t *testing.T, f files, d *machine.Definition, target Target) Request {
	t.Helper()
	m, c := f.tree()
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	if d.Name == "" {
		d.Name = "web"
	}
	d.Arch = "amd64"
	layout := d.Layout()
	r := Request{Definition: d, Manifest: m, Content: c, Target: target, Table: layout.Table, Sector: layout.SectorSize,
		Helper: []byte("\x7fELF helper"), Tools: newFakeTools(t), Epoch: 2000, HostRoot: t.TempDir()}
	uuid := map[string]string{"root": "0f0f0f0f-0000-4000-8000-000000000001", "esp": "1234-ABCD", "boot": "0f0f0f0f-0000-4000-8000-000000000002",
		"state": "0f0f0f0f-0000-4000-8000-000000000003", "data": "0f0f0f0f-0000-4000-8000-000000000004", "swap": "0f0f0f0f-0000-4000-8000-000000000005"}
	for i, p := range layout.Partitions {
		bp := Partition{Partition: p, UUID: uuid[p.Use], PartUUID: "aaaaaaaa-0000-4000-8000-00000000000" + string(rune('1'+i))}
		if layout.Table == "none" {
			bp.PartUUID = ""
		}
		if p.Filesystem == "squashfs" {
			bp.UUID = ""
		}
		r.Partitions = append(r.Partitions, bp)
	}
	if target == RAM {
		r.Partitions = nil
	}
	return r
}

func assemble(t *testing.T, f files, d *machine.Definition, target Target) (*Result, error) {
	t.Helper()
	r, err := Assemble(context.Background(), request(t, f, d, target))
	if err == nil {
		for i, m := range r.Trees {
			if m == nil {
				continue
			}
			if err := m.Validate(); err != nil {
				t.Errorf("tree %d: %v", i, err)
			}
		}
	}
	return r, err
}

func must(t *testing.T, f files, d *machine.Definition, target Target) *Result {
	t.Helper()
	r, err := assemble(t, f, d, target)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// read gives a file of a partition; empty if there is none.
func read(t *testing.T, r *Result, i int, name string) string {
	t.Helper()
	f, err := NewFS(r.Trees[i], r.Content).Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
