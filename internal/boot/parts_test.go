package boot

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"

	bootcpio "slipway/internal/bootfiles/cpio"
	"slipway/internal/image"
	"slipway/internal/machine"
	"slipway/internal/tree"
)

// under is a machine that boots under one.
func under(name string) *machine.Definition {
	d := &machine.Definition{}
	d.Boot.Firmware = []string{name}
	return d
}

func TestKernels(t *testing.T) {
	m, _ := files{
		"boot/vmlinuz-6.9.1": "", "boot/vmlinuz-6.12.0+deb13-amd64": "", "boot/vmlinuz-6.12.0~rc3-amd64": "", "boot/vmlinuz-": "", "boot/vmlinuz-6.1 init=/bin/sh": "", "boot/vmlinuz-6.1\nLABEL": "",
		"boot/vmlinuz-old/": "", "boot/vmlinuz-6.10.0": "->vmlinuz-6.9.1", "boot/vmlinuz-7.0": "->nowhere", "boot/config-8.0": "",
		"lib": "->usr/lib", "usr/lib/modules/6.9.1/x": "", "lib64/modules/6.10.0/x": "",
	}.tree()
	all, err := Kernels(m)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range all {
		got = append(got, k.Version+" "+k.Modules)
	}
	want := []string{"6.12.0+deb13-amd64 ", "6.12.0~rc3-amd64 ", "6.10.0 ", "6.9.1 usr/lib/modules/6.9.1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := Kernels(&tree.Manifest{}); !errors.Is(err, errNoKernel) {
		t.Errorf("an empty tree: %v", err)
	}
}

func TestFS(t *testing.T) {
	m, c := files{
		"usr/lib/a": "one", "lib": "->usr/lib", "abs": "->/lib/a", "up": "->usr/../lib/./a", "loop": "->loop2", "loop2": "->loop",
		"out": "->../../../usr/lib/a", "dead": "->nothing", "usr/lib-b": "two", "empty/": "",
	}.tree()
	f := NewFS(m, c)
	plain, pc := debian.tree()
	if err := fstest.TestFS(NewFS(plain, pc), "etc/os-release", "usr/bin/dpkg", "dev"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"lib/a": "one", "abs": "one", "up": "one", "out": "one", "usr/lib-b": "two"} {
		if got, err := fs.ReadFile(f, name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{"dead": "not exist", "loop": "too many levels", "lib/x": "not exist", "../a": "invalid", "usr/lib/a/b": "not exist"} {
		if _, err := f.Open(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	if to, err := f.ReadLink("lib"); err != nil || to != "usr/lib" {
		t.Errorf("ReadLink: %q, %v", to, err)
	}
	if _, err := f.ReadLink("usr/lib/a"); err == nil {
		t.Error("ReadLink of a file")
	}
	if st, err := f.Lstat("lib"); err != nil || st.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("Lstat: %v, %v", st, err)
	}
	list, err := fs.ReadDir(f, "usr")
	if err != nil || len(list) != 2 || list[0].Name() != "lib" || list[1].Name() != "lib-b" {
		t.Errorf("ReadDir: %v, %v", list, err)
	}
}

func TestOverlay(t *testing.T) {
	m := &tree.Manifest{Entries: []tree.Entry{
		{Path: ".", Type: tree.Dir, Mode: 0o755},
		{Path: "a", Type: tree.File}, {Path: "b", Type: tree.File, Link: "a"}, {Path: "c", Type: tree.File, Link: "a"},
		{Path: "d", Type: tree.Dir, Mode: 0o700},
	}}
	o := newOverlay(7)
	o.file("a", 0o600, []byte("new"))
	o.dir("d")
	o.file("x/y/z", 0o644, nil)
	out := o.over(m)
	if err := out.Validate(); err != nil {
		t.Fatal(err)
	}
	// The first of the group was replaced: the next one stands for the others.
	if b, c := out.Lookup("b"), out.Lookup("c"); b.Link != "" || c.Link != "b" {
		t.Errorf("links %q, %q", b.Link, c.Link)
	}
	if d := out.Lookup("d"); d.Mode != 0o700 {
		t.Errorf("a folder that was there became %o", d.Mode)
	}
	if y := out.Lookup("x/y"); y == nil || y.Mode != 0o755 || y.MTime != 7 {
		t.Errorf("x/y is %+v", y)
	}
	if m.Lookup("c").Link != "a" || len(m.Entries) != 5 {
		t.Error("the tree below changed")
	}
}

func TestLogins(t *testing.T) {
	d := &machine.Definition{Init: "busybox"}
	d.Boot.Console = []string{"tty0", "ttyAML0,115200"}
	with := debian.with(files{"etc/inittab": "#ttyAML0::respawn:x\ntty1::respawn:/sbin/getty 38400 tty1", "etc/securetty": "console\ntty1\n"})
	r := must(t, with, d, Disk)
	if got := read(t, r, rootTree, "etc/inittab"); got != with["etc/inittab"]+"\nttyAML0::respawn:/sbin/getty -L ttyAML0 115200 vt100\n" {
		t.Errorf("inittab: %s", got)
	}
	if got := read(t, r, rootTree, "etc/securetty"); got != "console\ntty1\nttyAML0\n" {
		t.Errorf("securetty: %s", got)
	}
	if !strings.Contains(r.Cmdline, "console=tty0 console=ttyAML0,115200") {
		t.Errorf("command line %q", r.Cmdline)
	}
	d.Init = "openrc"
	r = must(t, debian, d, Disk)
	if got := read(t, r, rootTree, "etc/inittab"); got != "1:2345:respawn:/sbin/getty -L tty1 115200 vt100\nAML0:2345:respawn:/sbin/getty -L ttyAML0 115200 vt100\n" {
		t.Errorf("inittab of sysvinit: %s", got)
	}
	if read(t, r, rootTree, "etc/securetty") != "" {
		t.Error("a machine without securetty got one")
	}
}

func TestCmdlineWords(t *testing.T) {
	d := &machine.Definition{Init: "/bin/app", Kernel: []machine.Kernel{{Cmdline: []string{"panic=3", "quiet"}}}}
	d.Disk.Partitions = []machine.Partition{{Use: "esp"}, {Use: "bios"}, {Use: "root", Options: "ro,noatime,commit=30,nofail,x-systemd.growfs"}}
	r := must(t, debian, d, Disk)
	if want := " rootfstype=ext4 rootflags=commit=30 ro console=ttyS0,115200 init=/bin/app panic=3 quiet"; !strings.HasSuffix(r.Cmdline, want) {
		t.Errorf("command line %q, want %q at its end", r.Cmdline, want)
	}
}

// planned is a volume of some bytes.
type planned []byte

func (p planned) Size() int64 { return int64(len(p)) }
func (p planned) Write(_ context.Context, w io.Writer) error {
	_, err := w.Write(p)
	return err
}

func TestRAMSquashfs(t *testing.T) {
	req := request(t, debian, &machine.Definition{}, RAM)
	volume := planned(strings.Repeat("squash", 50_001))
	req.Plan = func(_ context.Context, kind string, m *tree.Manifest, _ tree.Content, _ image.VolumeOptions) (image.Volume, error) {
		if kind != "squashfs" || m.Lookup("boot/vmlinuz-6.12.1-amd64") != nil || m.Lookup("boot") == nil || m.Lookup("srv/www/index.html") == nil {
			t.Errorf("%s of a tree of %d entries", kind, len(m.Entries))
		}
		return volume, nil
	}
	r, err := Assemble(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	if want := "root=ram slipway.root=/root.squashfs rootfstype=squashfs ro slipway.overlay=tmpfs console=ttyS0,115200 panic=10"; r.Cmdline != want {
		t.Errorf("command line %q", r.Cmdline)
	}
	var b bytes.Buffer
	if err := r.Initrd.Write(context.Background(), &b); err != nil || int64(b.Len()) != r.Initrd.Size {
		t.Fatalf("%d bytes, said %d, %v", b.Len(), r.Initrd.Size, err)
	}
	if !bytes.Contains(b.Bytes(), append([]byte("root.squashfs\x00"), volume[:100]...)) && !bytes.Contains(b.Bytes(), volume) {
		t.Error("the image is not in it")
	}
	names, err := archived(&b)
	if err != nil || !names["squashfs"] {
		t.Errorf("modules %v, %v", names, err)
	}
	if r.Memory < 128<<20 || r.Memory > 1<<30 || r.Memory%(16<<20) != 0 {
		t.Errorf("memory %d", r.Memory)
	}
	efi, err := r.EFI(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := efi.Write(context.Background(), &b); err != nil || !bytes.HasPrefix(b.Bytes(), []byte("MZ")) || !bytes.Contains(b.Bytes(), volume) {
		t.Errorf("the EFI program has %d bytes, %v", b.Len(), err)
	}
}

func TestRAMArchive(t *testing.T) {
	d := &machine.Definition{}
	d.Boot.RAM = "cpio"
	with := debian.with(files{"usr/bin/ping": "ping"})
	req := request(t, with, d, RAM)
	req.Manifest.Lookup("usr/bin/ping").Xattrs = map[string]string{"security.capability": "x"}
	r, err := Assemble(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(r.Cmdline, "root=ram rw ") || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "usr/bin/ping lose theirs") {
		t.Errorf("command line %q, warnings %q", r.Cmdline, r.Warnings)
	}
	var b bytes.Buffer
	if err := r.Initrd.Write(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil || !bytes.Contains(plain, []byte("afloat")) || !bytes.Contains(plain, []byte("slipway/boot.json")) || bytes.Contains(plain, []byte("6.12.1-amd64 (somebody")) {
		t.Errorf("an archive of %d bytes, %v", len(plain), err)
	}
}

func TestOnlyRAMIsEFI(t *testing.T) {
	if _, err := must(t, debian, &machine.Definition{}, VM).EFI(context.Background()); err == nil {
		t.Error("a disk became an EFI program")
	}
}

func TestArchived(t *testing.T) {
	archive := func(names ...string) []byte {
		var b bytes.Buffer
		w := bootcpio.NewWriter(&b)
		for _, n := range names {
			w.File(n, 0o644, []byte("content of "+n))
		}
		w.Close()
		return b.Bytes()
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(archive("lib/modules/1/b-c.ko", "lib/modules/1/d.ko.xz"))
	z.Close()
	early := append(archive("kernel/x86/microcode/GenuineIntel.bin", "early.ko"), make([]byte, 512)...)
	names, err := archived(bytes.NewReader(append(early, packed.Bytes()...)))
	if err != nil || len(names) != 3 || !names["b_c"] || !names["d"] || !names["early"] {
		t.Errorf("got %v, %v", names, err)
	}
	for name, bad := range map[string][]byte{
		"text": []byte("hello world"), "cut": archive("a.ko")[:130], "cut header": []byte("070701"), "gzip of text": gz("hello"),
	} {
		if _, err := archived(bytes.NewReader(bad)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func gz(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.Bytes()
}

// Any initramfs is read or refused.
func FuzzArchived(f *testing.F) {
	var b bytes.Buffer
	w := bootcpio.NewWriter(&b)
	w.File("a.ko", 0o644, []byte("x"))
	w.Close()
	f.Add(b.Bytes())
	f.Add(gz(b.String()))
	f.Add([]byte("07070100000000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, err := archived(io.LimitReader(bytes.NewReader(data), 1<<20))
		if err == nil && len(names) > 0 && len(data) < 20 {
			t.Errorf("%v from %q", names, data)
		}
	})
}

// A kernel says its version, or its name does, and nothing panics.
func FuzzRelease(f *testing.F) {
	f.Add([]byte(efi("6.1.0-amd64")))
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if v := release(data, "/boot/vmlinuz-x"); v == "" || strings.ContainsAny(v, " \x00") {
			t.Errorf("version %q", v)
		}
	})
}
