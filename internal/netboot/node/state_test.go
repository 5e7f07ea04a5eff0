package node

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/internal/bootfiles"
	"slipway/internal/fleet"
	"slipway/internal/target/metal"
)

var keptFolders = []bootfiles.KeptFolder{{Path: "/var/lib/data", At: "/var/lib/data"}}

// keeping is a machine in RAM that keeps a folder on the disk TARGET; it has
// another disk.
func keeping(t *testing.T) (w *world, disk string) {
	w, _ = inRAM(t, "a root")
	w.offer.Disk = "serial:TARGET"
	cfg, err := bootfiles.Config{State: &bootfiles.State{Folders: keptFolders}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w.machine.write("root/"+bootfiles.ConfigPath, string(cfg))
	w.machine.disk("vda", "OTHER", "04.0", 32<<20)
	return w, w.machine.disk("vdb", "TARGET", "05.0", 64<<20)
}

const keptAndStarted = "keep [{/var/lib/data /var/lib/data}] of root.squashfs on vdb1; ram root.squashfs"

func TestStateOnEmptyDisk(t *testing.T) {
	w, disk := keeping(t)
	if got := w.start(); got != keptAndStarted {
		t.Fatalf("it became %q", got)
	}
	d, err := w.machine.scanner().choose("serial:TARGET")
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Contents()
	if err != nil || len(c.Parts) != 1 || c.Parts[0].Filesystem != "ext4" || c.Parts[0].Name != "state of node" {
		t.Fatalf("the disk holds %+v, %v", c, err)
	}
	made := read(t, disk)
	if got := w.start(); got != keptAndStarted {
		t.Fatalf("the second time it became %q", got)
	}
	if !bytes.Equal(read(t, disk), made) {
		t.Error("a disk that keeps the state already was written")
	}
	if other := read(t, filepath.Join(w.machine.dir, "dev/vda")); len(bytes.Trim(other, "\x00")) > 0 {
		t.Error("another disk was written")
	}
	// A write of it that was interrupted is taken up again.
	w.machine.must(errors.Join(os.WriteFile(disk, nil, 0o600), os.Truncate(disk, 64<<20)))
	half(t, disk, "state of node")
	if got := w.start(); got != keptAndStarted {
		t.Fatalf("after an interruption it became %q", got)
	}
}

// half leaves the mark of a write that did not end.
func half(t *testing.T, disk, what string) {
	t.Helper()
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("slipway: unfinished write\nof "+what+"\nbegun 2026-01-01T00:00:00Z\n"), 0); err != nil {
		t.Fatal(err)
	}
}

// TestStateLeavesDiskAlone shows disks that are not the machine's to write.
func TestStateLeavesDiskAlone(t *testing.T) {
	for name, c := range map[string]struct {
		fill    func(t *testing.T, w *world, disk string)
		cause   string
		problem string
	}{
		"a file system": {func(t *testing.T, w *world, disk string) {
			b := read(t, disk)
			copy(b[1024+56:], "\x53\xef") // the magic number of an ext4
			copy(b[1024+104:], bytes.Repeat([]byte{7}, 16))
			w.machine.must(os.WriteFile(disk, b, 0o600))
		}, fleet.CauseState, "it is not empty, and does not hold the state of node"},
		"another machine's": {func(t *testing.T, w *world, disk string) {
			p := w.program()
			d, err := w.machine.scanner().choose("serial:TARGET")
			w.machine.must(errors.Join(err, p.makeState(t.Context(), d, "other")))
		}, fleet.CauseState, `named "state of other"`},
		"no file system any more": {func(t *testing.T, w *world, disk string) {
			p := w.program()
			d, err := w.machine.scanner().choose("serial:TARGET")
			w.machine.must(errors.Join(err, p.makeState(t.Context(), d, "node")))
			b := read(t, disk)
			clear(b[1<<20 : 1<<20+8192])
			w.machine.must(os.WriteFile(disk, b, 0o600))
		}, fleet.CauseState, "holds no ext4 file system any more"},
		"another's half write": {func(t *testing.T, w *world, disk string) {
			half(t, disk, "state of node2")
		}, fleet.CauseState, "an unfinished write of state of node2"},
		"missing": {func(t *testing.T, w *world, disk string) {
			w.offer.Disk = "serial:GONE"
		}, fleet.CauseDisk, "looking for the disk that keeps state: no disk is serial:GONE"},
		"not named": {func(t *testing.T, w *world, disk string) {
			w.machine.must(os.RemoveAll(filepath.Join(w.machine.dir, "sys/block/vda"))) // one disk alone is there
			w.machine.must(os.RemoveAll(filepath.Join(w.machine.dir, "sys/class/block/vda")))
			w.offer.Disk = ""
		}, fleet.CauseState, "names no disk for that any more"},
		"too small": {func(t *testing.T, w *world, disk string) {
			w.machine.disk("vdc", "TINY", "06.0", 1<<20)
			w.offer.Disk = "serial:TINY"
		}, fleet.CauseState, "laying out the disk"},
	} {
		t.Run(name, func(t *testing.T) {
			w, disk := keeping(t)
			c.fill(t, w, disk)
			before := read(t, disk)
			w.fails(c.cause, c.problem)
			if !bytes.Equal(read(t, disk), before) {
				t.Error("the disk was written")
			}
			if got := strings.Join(w.machine.got, "; "); got != "" {
				t.Errorf("it became %q", got)
			}
			if w.heard("the root is here") {
				t.Error("the root was fetched before the disk was looked at")
			}
		})
	}
}

func TestDecideStateNames(t *testing.T) {
	slot, err := stateSlot("node")
	if err != nil {
		t.Fatal(err)
	}
	again, _ := stateSlot("node")
	other, _ := stateSlot("node2")
	if slot.PartUUID == "" || slot.PartUUID != again.PartUUID || slot.PartUUID == other.PartUUID {
		t.Errorf("partitions are called %q, %q and %q", slot.PartUUID, again.PartUUID, other.PartUUID)
	}
	if _, err := stateSlot(strings.Repeat("ü", 63)); err != nil {
		t.Errorf("a long name: %v", err)
	}
	// What else is on the disk beside the partition does not matter.
	c := &metal.Contents{Table: "gpt", Parts: []metal.Held{{Number: 1, UUID: other.PartUUID}, {Number: 2, UUID: slot.PartUUID, Filesystem: "ext4"}}}
	if deed, number, why := decideState(c, "node", &slot); deed != stateUse || number != 2 {
		t.Errorf("it is to %d partition %d (%s)", deed, number, why)
	}
	for disk, want := range map[string]string{"/dev/sda": "/dev/sda2", "/dev/nvme0n1": "/dev/nvme0n1p2"} {
		if got := partitionOf(disk, 2); got != want {
			t.Errorf("partition 2 of %s is %s", disk, got)
		}
	}
}

// TestSeed puts what was built in place once, and takes up what was interrupted.
func TestSeed(t *testing.T) {
	built, kept := t.TempDir(), t.TempDir()
	write := func(text string, names ...string) {
		t.Helper()
		path := filepath.Join(names...)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	write("first", built, "var/lib/data/word")
	write("first", built, "data/moved/word")
	write("half", kept, ".slipway-new/rest")
	old := time.Unix(1000, 0)
	if err := errors.Join(os.Chmod(filepath.Join(built, "var/lib/data"), 0o2750), os.Chtimes(filepath.Join(built, "var/lib/data"), old, old)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(built, "var/lib/data"), 0o750|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(filepath.Join(built, "var/lib/data/word"), 33, 34); err != nil {
			t.Fatal(err)
		}
	}
	folders := []bootfiles.KeptFolder{{Path: "/var/lib/data", At: "/var/lib/data"}, {Path: "/srv/link", At: "/data/moved"}, {Path: "/none", At: "/none"}}
	for _, text := range []string{"first", "second"} {
		write(text, built, "var/lib/data/word")
		if err := seed(t.Context(), built, kept, folders); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"var/lib/data/word", "srv/link/word"} {
			if got := string(read(t, filepath.Join(kept, name))); got != "first" {
				t.Errorf("%s is %q", name, got)
			}
		}
	}
	st, err := os.Stat(filepath.Join(kept, "var/lib/data"))
	if err != nil || st.Mode() != os.ModeDir|os.ModeSetgid|0o750 {
		t.Errorf("the folder is %v, %v", st.Mode(), err)
	}
	var names []string
	entries, err := os.ReadDir(kept)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"none", "srv", "var"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("kept are %v, want %v (%v)", names, want, err)
	}
}

func TestTellHelper(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	cfg, _ := bootfiles.Config{Root: "ram", State: &bootfiles.State{Folders: keptFolders}}.Encode()
	if err := os.WriteFile(path, cfg, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tellHelper(path, "/dev/vdb1"); err != nil {
		t.Fatal(err)
	}
	got, err := bootfiles.Decode(read(t, path))
	if err != nil || got.Root != "ram" || got.State.Device != "/dev/vdb1" || !slices.Equal(got.State.Folders, keptFolders) {
		t.Errorf("the helper reads %+v, %v", got, err)
	}
}
