package initramfs

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"slipway/internal/bootfiles"
	"slipway/internal/bootfiles/modules"
)

const version = "6.1.0-test"

func machine() fstest.MapFS {
	const dir = "usr/lib/modules/" + version + "/"
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte("ext4 code"))
	w.Close()
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		dir + "modules.dep": file("kernel/fs/ext4.ko.gz: kernel/fs/jbd2.ko\nkernel/fs/jbd2.ko:\nkernel/virtio_blk.ko:\n" +
			"kernel/virtio_net.ko:\nkernel/virtio_pci.ko:\nkernel/unwanted.ko:\n"),
		dir + "modules.alias":        file("alias fs-ext4 ext4\nalias x unwanted\n"),
		dir + "modules.builtin":      file("kernel/virtio_console.ko\n"),
		dir + "kernel/fs/ext4.ko.gz": {Data: packed.Bytes()},
		dir + "kernel/fs/jbd2.ko":    file(elfFile), dir + "kernel/virtio_blk.ko": file(elfFile), dir + "kernel/virtio_net.ko": file(elfFile),
		dir + "kernel/virtio_pci.ko": file(elfFile), dir + "kernel/unwanted.ko": file(elfFile),
	}
}

// elfFile is a 64-bit ELF file without sections.
var elfFile = "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 33) + "\x40" + strings.Repeat("\x00", 17) + "\x40\x00\x00\x00\x00\x00"

func unpack(ending string, r io.Reader) (io.Reader, error) {
	if ending != ".gz" {
		return nil, errors.New("unexpected " + ending)
	}
	return gzip.NewReader(r)
}

func options() Options {
	return Options{
		Version: version, Set: "vm", Optional: []string{"ext4"}, Helper: []byte("helper"), Decompress: unpack,
		Config: bootfiles.Config{Root: "LABEL=root", Load: []string{"jbd2"}},
	}
}

// extract reads an archive back.
func extract(t *testing.T, b []byte) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	for len(b) >= 110 {
		number := func(i int) int {
			n, err := strconv.ParseUint(string(b[6+8*i:14+8*i]), 16, 32)
			if err != nil || string(b[:6]) != "070701" {
				t.Fatalf("not a header: %q", b[:110])
			}
			return int(n)
		}
		size, length := number(6), number(11)
		name := string(b[110 : 110+length-1])
		mode := fs.FileMode(number(1) & 0o777)
		kind := number(1) >> 12
		at := (110 + length + 3) &^ 3
		data := b[at : at+size]
		b = b[(at+size+3)&^3:]
		if name == "TRAILER!!!" {
			return out
		}
		switch {
		case out[name] != nil:
			t.Errorf("%s is twice in the archive", name)
		case strings.Contains(name, "/") && out[name[:strings.LastIndex(name, "/")]] == nil:
			t.Errorf("%s comes before its folder", name)
		case kind == 4:
			mode |= fs.ModeDir
		case kind == 10:
			mode |= fs.ModeSymlink
		case kind == 2:
			mode |= fs.ModeDevice
		}
		out[name] = &fstest.MapFile{Data: data, Mode: mode}
	}
	t.Fatal("the archive has no end")
	return nil
}

func build(t *testing.T, root fs.FS, opt Options) fstest.MapFS {
	t.Helper()
	var b bytes.Buffer
	if err := Build(&b, root, opt); err != nil {
		t.Fatal(err)
	}
	return extract(t, b.Bytes())
}

func TestBuild(t *testing.T) {
	opt := options()
	opt.Extra = []File{{Path: "images/root.img", Mode: 0o600, Size: 3, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("abc")), nil }}}
	got := build(t, machine(), opt)
	const dir = "lib/modules/" + version + "/"
	for name, want := range map[string]string{
		"init": "helper", "sbin/modprobe": "/init", dir + "kernel/fs/ext4.ko": "ext4 code", dir + "kernel/virtio_blk.ko": elfFile, "images/root.img": "abc",
	} {
		if got[name] == nil || string(got[name].Data) != want {
			t.Errorf("%s: got %+v, want %q", name, got[name], want)
		}
	}
	for _, name := range []string{dir + "kernel/unwanted.ko", dir + "kernel/fs/ext4.ko.gz", "bin/busybox", "bin/sh"} {
		if got[name] != nil {
			t.Errorf("%s is in the archive", name)
		}
	}
	if got["init"].Mode.Perm() != 0o755 || got["dev/console"] == nil {
		t.Errorf("init has mode %v", got["init"].Mode)
	}
	cfg, err := bootfiles.Decode(got[bootfiles.ConfigPath].Data)
	if err != nil || cfg.Root != "LABEL=root" || !slices.Equal(cfg.Load, []string{"jbd2"}) {
		t.Errorf("configuration: %+v, %v", cfg, err)
	}
	tree, err := modules.Open(got, version)
	if err != nil {
		t.Fatal(err)
	}
	order, err := tree.Closure([]string{"fs-ext4", "virtio_console"}, nil)
	if err != nil || !slices.Equal(order, []string{"jbd2", "ext4"}) {
		t.Errorf("in the archive ext4 needs %v, %v", order, err)
	}
	for _, name := range tree.Names() {
		if got[tree.Dir+"/"+tree.File(name)] == nil {
			t.Errorf("the tables name %s, which is not there", name)
		}
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	var a, b bytes.Buffer
	if err := errors.Join(Build(&a, machine(), options()), Build(&b, machine(), options())); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two archives of the same machine differ")
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Options, fstest.MapFS)
		want   string
	}{
		{"a module that is missing", func(o *Options, _ fstest.MapFS) { o.Modules = []string{"zfs"} }, "no module zfs"},
		{"a kernel that is missing", func(o *Options, _ fstest.MapFS) { o.Version = "7" }, "no modules of kernel 7"},
		{"an unknown set", func(o *Options, _ fstest.MapFS) { o.Set = "x" }, `"x" is unknown`},
		{"a module file that is missing", func(_ *Options, m fstest.MapFS) { delete(m, "usr/lib/modules/"+version+"/kernel/virtio_blk.ko") }, "kernel module virtio_blk"},
		{"no decompressor", func(o *Options, _ fstest.MapFS) { o.Decompress = nil }, "nothing here decompresses .gz"},
		{"a full disk", func(o *Options, _ fstest.MapFS) {
			o.Compress = func(io.Writer) (io.WriteCloser, error) { return broken{}, nil }
		}, "disk full"},
	} {
		opt, m := options(), machine()
		c.change(&opt, m)
		if err := Build(io.Discard, m, opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }
func (broken) Close() error              { return nil }

func TestKernelWithoutModules(t *testing.T) {
	got := build(t, fstest.MapFS{}, Options{Version: "6.1", Helper: []byte("h")})
	if got["init"] == nil || got["lib/modules/6.1"] != nil {
		t.Error("an archive without modules has the helper and no folder of modules")
	}
}

func TestBusybox(t *testing.T) {
	head := func(kind byte) string {
		h := []byte("\x7fELF\x02\x01" + strings.Repeat("\x00", 58+56))
		h[32], h[56], h[64] = 64, 1, kind
		return string(h)
	}
	for name, c := range map[string]struct {
		file string
		want bool
	}{
		"static": {head(1), true}, "dynamic": {head(3), false}, "a script": {"#!/bin/sh\n", false}, "short": {"\x7fELF\x02\x01", false},
		"beyond its end": {strings.Replace(head(1), "\x01\x00", "\x01\x7f", 1)[:80], false},
	} {
		m := machine()
		m["bin/busybox"] = &fstest.MapFile{Data: []byte(c.file)}
		if got := build(t, m, options())["bin/sh"] != nil; got != c.want {
			t.Errorf("%s: taken along: %v", name, got)
		}
	}
	if fmt.Sprint(static(nil)) != "false" {
		t.Error("nothing is a program")
	}
}
