package boot

import (
	"context"
	"testing"

	"slipway/internal/machine"
)

// memory is a cache that counts.
type memory struct {
	kept map[string][]byte
	hits int
}

func (m *memory) Get(key string) []byte {
	if m.kept[key] != nil {
		m.hits++
	}
	return m.kept[key]
}

func (m *memory) Put(key string, data []byte) { m.kept[key] = data }

func TestCache(t *testing.T) {
	cache := &memory{kept: map[string][]byte{}}
	tools := newFakeTools(t)
	run := func(f files, d *machine.Definition, helper string) *Result {
		t.Helper()
		req := request(t, f, d, Disk)
		req.Cache, req.Tools, req.Helper = cache, tools, []byte(helper)
		r, err := Assemble(context.Background(), req)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	hits := func(want int, what string) {
		t.Helper()
		if cache.hits != want {
			t.Errorf("%s: %d hits, want %d", what, cache.hits, want)
		}
		cache.hits = 0
	}
	first := run(debian, &machine.Definition{}, "helper")
	hits(0, "the first")
	again := run(debian.with(files{"srv/www/index.html": "changed"}), &machine.Definition{}, "helper")
	hits(2, "another file") // initramfs and GRUB
	if read(t, first, rootTree, "boot/initrd.img-6.12.1-amd64") != read(t, again, rootTree, "boot/initrd.img-6.12.1-amd64") {
		t.Error("what the cache gave differs")
	}
	const dir = "usr/lib/modules/6.12.1-amd64/kernel/"
	for what, change := range map[string]func(){
		"another module": func() { run(debian.with(files{dir + "ext4.ko": module("x")}), &machine.Definition{}, "helper") },
		"another helper": func() { run(debian, &machine.Definition{}, "other") },
		"more modules": func() {
			run(debian, &machine.Definition{Kernel: []machine.Kernel{{Modules: []string{"squashfs"}}}}, "helper")
		},
		"other firmware":  func() { run(debian.with(files{"usr/lib/firmware/a": "b"}), &machine.Definition{}, "helper") },
		"a busybox":       func() { run(debian.with(files{"usr/bin/busybox": "b"}), &machine.Definition{}, "helper") },
		"no zstd":         func() { run(debian.with(files{"boot/config-6.12.1-amd64": "x"}), &machine.Definition{}, "helper") },
		"another program": func() { run(debian, &machine.Definition{Init: "/bin/app"}, "helper") },
	} {
		change()
		hits(1, what) // GRUB alone
	}
}
