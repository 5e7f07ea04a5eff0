package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// bench is one whole measurement.
type bench struct {
	settings
	mirror  *mirror
	slipway string
	runtime string
	made    []string // folders to delete at the end
	results results
}

// prepare makes the folders.
func (b *bench) prepare(disks string) error {
	for _, name := range strings.Split(disks, ",") {
		parent, keep := b.work, true
		if name == "tmpfs" {
			parent, keep = "/dev/shm", false
		}
		dir, err := os.MkdirTemp(parent, "slipway-bench-")
		if err != nil {
			return err
		}
		b.made = append(b.made, dir)
		b.disks = append(b.disks, disk{name, dir, keep})
	}
	b.runtime = filepath.Join(b.disks[0].dir, "run")
	if err := os.Mkdir(b.runtime, 0o711); err != nil {
		return err
	}
	b.results.series = map[string]series{}
	return b.host()
}

func (b *bench) clean() error {
	var first error
	for _, dir := range b.made {
		if err := remove(dir); first == nil {
			first = err
		}
	}
	return first
}

// measure runs the rows.
func (b *bench) measure() error {
	rows := map[string]func(disk) error{
		"cold": b.cold, "userland": b.userland, "added": b.added, "second": b.second,
		"changed": b.changed, "nothing": b.nothing, "alpine": b.alpine,
	}
	if !b.rows["alpine"] || len(b.rows) > 1 { // it alone needs no mirror
		if err := b.warmUp(); err != nil {
			return err
		}
	}
	for i, d := range b.disks {
		if i > 0 {
			b.runs = b.diskRuns
		}
		for _, name := range allRows {
			if do := rows[name]; do != nil && b.rows[name] {
				if err := do(d); err != nil {
					return fmt.Errorf("%s on %s: %w", name, d.name, err)
				}
			}
		}
		if i == 0 {
			if err := b.once(); err != nil {
				return err
			}
		}
		if err := b.report(io.Discard); err != nil {
			return err
		}
	}
	return nil
}

// once measures what does not depend on where a tree is built.
func (b *bench) once() error {
	if b.rows["up"] {
		if err := b.up(b.disks[0]); err != nil {
			return fmt.Errorf("up: %w", err)
		}
	}
	if b.rows["small"] {
		return b.small()
	}
	return nil
}

// folder names a new folder that does not exist yet.
func (d disk) folder(parts ...any) string {
	return filepath.Join(d.dir, strings.ReplaceAll(strings.TrimSpace(fmt.Sprintln(parts...)), " ", "-"))
}

// drop deletes what a run made, where that does not disturb the next one.
func (d disk) drop(dir string) error {
	if d.keep {
		return nil
	}
	return remove(dir)
}

// note keeps a sample and shows it.
func (b *bench) note(d disk, what string, s sample) {
	key := d.name + " " + what
	b.results.series[key] = append(b.results.series[key], s)
	fmt.Printf("%-7s %-28s %8.2f s  cpu %7.2f s  %6.1f MB in %d requests\n", d.name, what, s.wall.Seconds(), s.cpu.Seconds(), float64(s.bytes)/1e6, s.requests)
}

// warmUp fills the mirror, and is the run in which memory is sampled.
func (b *bench) warmUp() error {
	d := b.disks[0]
	file, err := b.write(definition{name: "bench-boot", packages: bootSet})
	if err != nil {
		return err
	}
	second, err := b.write(definition{name: "bench-second", packages: secondSet})
	if err != nil {
		return err
	}
	if _, _, err := b.timed(b.build(second, "container", d.folder("warm"))...); err != nil {
		return err
	}
	tree := d.folder("warm-peer")
	if b.rows["memory"] {
		if b.results.slipway, err = b.memory(b.build(file, "container", d.folder("warm-memory"))...); err != nil {
			return err
		}
		if b.results.peer, err = b.memory(b.mmdebstrap(bootSet, tree)...); err != nil {
			return err
		}
		fmt.Printf("memory: slipway itself %d MB, with children %d MB; mmdebstrap %d MB\n", b.results.slipway.self>>20, b.results.slipway.all>>20, b.results.peer.all>>20)
	} else if _, _, err = b.timed(b.mmdebstrap(bootSet, tree)...); err != nil {
		return err
	}
	for _, dir := range []string{tree, d.folder("warm"), d.folder("warm-memory")} {
		if err := d.drop(dir); err != nil {
			return err
		}
	}
	return nil
}

// against runs slipway's classes and mmdebstrap in turns, each from nothing.
func (b *bench) against(d disk, what string, packages, classes []string) error {
	file, err := b.write(definition{name: "bench-" + what, packages: packages})
	if err != nil {
		return err
	}
	for i := range b.runs {
		tree := d.folder(what, "peer", i)
		s, _, err := b.timed(b.mmdebstrap(packages, tree)...)
		if err != nil {
			return err
		}
		b.note(d, what+" mmdebstrap", s)
		if err := d.drop(tree); err != nil {
			return err
		}
		for _, class := range classes {
			store := d.folder(what, class, i)
			s, _, err := b.timed(b.build(file, class, store)...)
			if err != nil {
				return err
			}
			b.note(d, what+" "+class, s)
			if err := d.drop(store); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) cold(d disk) error {
	return b.against(d, "cold", bootSet, []string{"container", "plain"})
}

func (b *bench) userland(d disk) error {
	return b.against(d, "userland", userlandSet, []string{"container"})
}

// clone copies a store, so that each run begins with the same one.
func clone(from, to string) error {
	_, err := command("cp", "-a", from, to)
	unix.Sync()
	return err
}

// built makes a store that holds the bootable set.
func (b *bench) built(d disk) (string, error) {
	store := d.folder("base-store")
	if _, err := os.Stat(store); err == nil {
		return store, nil
	}
	file, err := b.write(definition{name: "bench-boot", packages: bootSet})
	if err != nil {
		return "", err
	}
	_, _, err = b.timed(b.build(file, "container", store)...)
	return store, err
}

// added: the bootable set is in the store, one package more is asked for. The
// peer makes the whole tree again, as it has no other way.
func (b *bench) added(d disk) error {
	base, err := b.built(d)
	if err != nil {
		return err
	}
	file, err := b.write(definition{name: "bench-added", packages: addedSet})
	if err != nil {
		return err
	}
	for i := range b.runs {
		tree := d.folder("added-peer", i)
		s, _, err := b.timed(b.mmdebstrap(addedSet, tree)...)
		if err != nil {
			return err
		}
		b.note(d, "added mmdebstrap", s)
		if err := d.drop(tree); err != nil {
			return err
		}
		store := d.folder("added-store", i)
		if err := clone(base, store); err != nil {
			return err
		}
		if s, _, err = b.timed(b.build(file, "container", store)...); err != nil {
			return err
		}
		b.note(d, "added slipway", s)
		if err := d.drop(store); err != nil {
			return err
		}
	}
	return nil
}

// second: another machine that shares nine of ten packages, cold and beside the first.
func (b *bench) second(d disk) error {
	base, err := b.built(d)
	if err != nil {
		return err
	}
	file, err := b.write(definition{name: "bench-second", packages: secondSet})
	if err != nil {
		return err
	}
	for i := range b.runs {
		for _, kind := range []string{"cold", "shared"} {
			store := d.folder("second", kind, i)
			if kind == "shared" {
				if err := clone(base, store); err != nil {
					return err
				}
			}
			s, _, err := b.timed(b.build(file, "container", store)...)
			if err != nil {
				return err
			}
			b.note(d, "second "+kind, s)
			if err := d.drop(store); err != nil {
				return err
			}
		}
	}
	return nil
}

// changed: the content of one file of the definition is another.
func (b *bench) changed(d disk) error {
	store, err := b.built(d)
	if err != nil {
		return err
	}
	for i := range b.runs + 1 {
		file, err := b.write(definition{name: "bench-file", packages: bootSet,
			files: map[string]string{"/etc/motd": fmt.Sprintf("%s %d\n", d.name, i)}})
		if err != nil {
			return err
		}
		s, _, err := b.timed(b.build(file, "container", store)...)
		if err != nil {
			return err
		}
		if i > 0 { // the first one makes the layer for the first time
			b.note(d, "changed slipway", s)
		}
	}
	return nil
}

// nothing: the machine is built already.
func (b *bench) nothing(d disk) error {
	store, err := b.built(d)
	if err != nil {
		return err
	}
	file, err := b.write(definition{name: "bench-boot", packages: bootSet})
	if err != nil {
		return err
	}
	for range max(b.runs, 3) {
		s, _, err := b.timed(b.build(file, "container", store)...)
		if err != nil {
			return err
		}
		b.note(d, "nothing slipway", s)
	}
	return nil
}
