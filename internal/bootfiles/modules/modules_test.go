package modules

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const version = "6.1.0-test"

func testFS(dir string) fstest.MapFS {
	files := map[string]string{
		"modules.dep": "kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/jbd2/jbd2.ko.xz\n" +
			"kernel/fs/jbd2/jbd2.ko.xz:\nkernel/lib/crc16.ko.xz:\n" +
			"kernel/arch/crc32c-intel.ko.xz:\nkernel/crypto/crc32c_generic.ko.xz:\n" +
			"kernel/drivers/virtio_blk.ko: kernel/drivers/virtio.ko kernel/drivers/virtio_ring.ko\n" +
			"kernel/drivers/virtio.ko: kernel/drivers/virtio_ring.ko\nkernel/drivers/virtio_ring.ko:\n" +
			"kernel/a.ko:\nkernel/b.ko:\nkernel/broken.ko: kernel/gone.ko\n",
		"modules.builtin": "kernel/drivers/virtio/virtio_pci.ko\n",
		"modules.alias": "# Aliases\nalias fs-ext4 ext4\nalias virtio:d00000002v* virtio_blk\nalias crypto-crc32c crc32c_intel\n" +
			"alias crypto-crc32c crc32c_generic\nalias pci:v*d*sv*sd*bc01sc06i01* a\n",
		"modules.softdep": "# Soft\nsoftdep ext4 pre: crypto-crc32c\nsoftdep jbd2 pre: crypto-crc32c\nsoftdep a pre: b\nsoftdep b post: a nothing\n",
	}
	m := fstest.MapFS{}
	for name, text := range files {
		m[dir+"/"+version+"/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func open(t *testing.T) *Tree {
	t.Helper()
	tree, err := Open(testFS("usr/lib/modules"), version)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestOpenFindsBothFolders(t *testing.T) {
	for _, dir := range []string{"usr/lib/modules", "lib/modules"} {
		tree, err := Open(testFS(dir), version)
		if err != nil || tree.Dir != dir+"/"+version {
			t.Errorf("%s: %v, %+v", dir, err, tree)
		}
	}
	_, err := Open(fstest.MapFS{}, version)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no modules of kernel "+version) {
		t.Errorf("without modules: %v", err)
	}
}

func TestClosure(t *testing.T) {
	for _, c := range []struct {
		name             string
		wanted, optional []string
		want             string // in load order
		missing          string
	}{
		{"dependencies first", []string{"virtio_blk"}, nil, "virtio_ring virtio virtio_blk", ""},
		{"soft ones too", []string{"ext4"}, nil, "crc32c_intel crc32c_generic jbd2 crc16 ext4", ""},
		{"by alias", []string{"fs-ext4"}, nil, "crc32c_intel crc32c_generic jbd2 crc16 ext4", ""},
		{"dash and underscore", []string{"crc32c_intel", "crc32c-generic"}, nil, "crc32c_intel crc32c_generic", ""},
		{"built in", []string{"virtio-pci"}, nil, "", ""},
		{"optional and missing", []string{"crc16"}, []string{"nvme", "crc16"}, "crc16", ""},
		{"a circle of soft ones", []string{"a"}, nil, "b a", ""},
		{"by device", []string{"pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"}, nil, "b a", ""},
		{"missing", []string{"zfs", "ext4", "nvme"}, nil, "", "nvme, zfs"},
		{"missing below", []string{"broken"}, nil, "", "gone"},
	} {
		got, err := open(t).Closure(c.wanted, c.optional)
		var missing *MissingError
		if errors.As(err, &missing) != (c.missing != "") {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.missing != "" {
			if s := strings.Join(missing.Names, ", "); s != c.missing {
				t.Errorf("%s: missing %s, want %s", c.name, s, c.missing)
			}
			continue
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: got %q, want %q", c.name, s, c.want)
		}
	}
}

func TestTablesCanBeReadAgain(t *testing.T) {
	tree := open(t)
	order, err := tree.Closure([]string{"ext4", "virtio_blk"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	small := fstest.MapFS{}
	for _, table := range tree.Tables(order) {
		small["lib/modules/"+version+"/"+table.Name] = &fstest.MapFile{Data: []byte(table.Text)}
	}
	again, err := Open(small, version)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Closure([]string{"fs-ext4", "virtio:d00000002v00001AF4", "virtio_pci"}, nil); err != nil || !slices.Equal(got, order) {
		t.Errorf("got %v, %v, want %v", got, err, order)
	}
	if again.File("ext4") != "kernel/fs/ext4/ext4.ko" || again.Has("a") {
		t.Errorf("the reduced tables name %s, and a: %v", again.File("ext4"), again.Has("a"))
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"virtio:d00000002v*", "virtio:d00000002v00001AF4", true},
		{"virtio:d00000002v*", "virtio:d00000003v00001AF4", false},
		{"a*b*c", "a/x/b/y/c", true},
		{"a*b*c", "a/x/b/y", false},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"usb:v0[0-9A-F]*", "usb:v0Fxx", true},
		{"usb:v0[!0-9]", "usb:v0F", true},
		{"usb:v0[!0-9]", "usb:v07", false},
		{"x[]]y", "x]y", true},
		{"x[y", "x[y", true},
		{`x\*`, "x*", true},
		{`x\*`, "xy", false},
		{"*", "", true},
		{"", "", true},
		{"", "x", false},
	} {
		if got := Match(c.pattern, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
	if Match(strings.Repeat("a*", 30)+"b", strings.Repeat("a", 5000)) {
		t.Error("matched what has no b")
	}
}

func TestSetsAreKnown(t *testing.T) {
	for _, name := range []string{"vm", "disk"} {
		if s, err := Named(name); err != nil || len(s.Wanted)+len(s.Optional) < 5 {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	if _, err := Named("x"); err == nil || !strings.Contains(err.Error(), "disk, vm") {
		t.Errorf("an unknown set: %v", err)
	}
}

func FuzzTables(f *testing.F) {
	for _, m := range testFS("lib/modules") {
		f.Add(string(m.Data), "ext4")
	}
	f.Add("a.ko: a.ko\n../x.ko:\n/x.ko: :\n", "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		tree := newTree(version, "lib/modules/"+version)
		tree.parseDep(text)
		tree.parseAlias(text)
		tree.parseSoftdep(text)
		tree.parseBuiltin(text)
		order, err := tree.Closure([]string{name}, tree.Names())
		if err != nil {
			return
		}
		for _, n := range order {
			if !local(tree.File(n)) {
				t.Errorf("module %s lies outside of its folder: %s", n, tree.File(n))
			}
		}
		tree.Tables(order)
	})
}
