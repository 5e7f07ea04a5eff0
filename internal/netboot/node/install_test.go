package node

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"slipway/internal/image/partition"
)

// imageFile makes a disk image with a GPT, some data and holes.
func imageFile(t *testing.T, size int64) string {
	t.Helper()
	table := &partition.Table{Kind: partition.GPT, Sector: 512, Size: size, ID: [16]byte{1}, Parts: []partition.Part{
		{Number: 1, Type: partition.Root("amd64").GUID, ID: [16]byte{2}, Start: 1 << 20, Size: size - 2<<20, Name: "root"},
	}}
	path := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := table.WriteAt(f); err != nil {
		t.Fatal(err)
	}
	for at := int64(1 << 20); at < size-2<<20; at += 5 << 20 {
		if _, err := f.WriteAt(bytes.Repeat([]byte("data of the machine "), 40<<10), at); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// installing is a world with a machine that is to be installed.
func installing(t *testing.T) (w *world, image, target, other string) {
	w = newWorld(t)
	image = imageFile(t, 24<<20)
	a, err := w.shelf.Add(t.Context(), image, "raw")
	if err != nil {
		t.Fatal(err)
	}
	target = w.machine.disk("vdb", "INSTALLME", "05.0", 40<<20)
	other = w.machine.disk("vda", "OTHER", "04.0", 30<<20)
	if err := os.WriteFile(other, bytes.Repeat([]byte("do not touch "), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	w.offer = &Offer{Machine: "node", Mode: DoInstall, Version: "v1", Disk: "serial:INSTALLME", Artefacts: func(string, json.RawMessage) (*Artefacts, error) { return &Artefacts{Image: a}, nil }}
	return w, image, target, other
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// holds checks that a disk holds the image at the disk's size, and a mark.
func holds(t *testing.T, disk, image string) {
	t.Helper()
	got, want := read(t, disk), read(t, image)
	table, err := partition.Read(bytes.NewReader(got), int64(len(got)), 512)
	if err != nil || table.Damage != "" {
		t.Fatalf("the table of the disk: %v %+v", err, table)
	}
	if !bytes.Equal(got[1<<20:23<<20], want[1<<20:23<<20]) {
		t.Error("the contents are not the image's")
	}
	if m := readMark(bytes.NewReader(got)); m == nil || m.Machine != "node" || m.Version != "v1" {
		t.Errorf("the mark is %+v", m)
	}
}

func TestInstall(t *testing.T) {
	w, image, target, other := installing(t)
	before := read(t, other)
	if got := w.start(); got != "restart" {
		t.Fatalf("it became %q", got)
	}
	holds(t, target, image)
	if !bytes.Equal(read(t, other), before) {
		t.Error("another disk has changed")
	}
	r := w.record()
	if r.Grant.Open(t0) || r.Installed == nil || r.Grant.Evidence != "the installer's report" || r.Installed.Serial == "" && r.Installed.Disk == "" {
		t.Errorf("the record is %+v", r)
	}
}

// TestLostReportWipesNothing breaks the line at each of the first requests in
// turn, for good: whatever gets lost, a finished disk stays as it is, and an
// unfinished one is finished at the next start.
func TestLostReportWipesNothing(t *testing.T) {
	for _, broken := range []int{0, 1, 2, 3, 5, 8} { // order, list of pieces, pieces
		w, image, target, _ := installing(t)
		var n atomic.Int64
		w.before = func(rw http.ResponseWriter, r *http.Request) bool {
			reports := strings.HasSuffix(r.URL.Path, "/report")
			if !reports && n.Add(1) != int64(broken) {
				return false
			}
			panic(http.ErrAbortHandler) // no report ever arrives
		}
		w.start()
		holds(t, target, image)
		finished := read(t, target)
		w.before = nil
		if got := w.start(); got != "restart" || !bytes.Equal(read(t, target), finished) {
			t.Fatalf("request %d broke: it became %q, or the disk has changed", broken, got)
		}
		if r := w.record(); r.Grant.Open(t0) || !strings.Contains(r.Grant.Evidence, "mark") {
			t.Fatalf("request %d broke: the record is %+v", broken, r.Grant)
		}
	}
}

func TestInstallRefusals(t *testing.T) {
	w, _, target, other := installing(t)
	blank, kept := read(t, target), read(t, other)
	w.offer.Disk = "serial:NOPE"
	w.fails("disk", "no disk is serial:NOPE (netboot.disk); it has: vda 30 MiB serial:OTHER")
	w.offer.Disk = ""
	w.fails("disk", "the machine has 2 disks, and netboot.disk names none")
	w.offer.Disk = "/dev/disk/by-path/pci-0000:00:05.0"
	if !bytes.Equal(read(t, target), blank) || !bytes.Equal(read(t, other), kept) {
		t.Error("a refused installation has written")
	}
	if got := w.start(); got != "restart" { // by its path it is found
		t.Errorf("it became %q", got)
	}
}

// TestOnlyEmptyDisks: what nobody granted erases nothing.
func TestOnlyEmptyDisks(t *testing.T) {
	w, image, target, _ := installing(t)
	foreign := imageFile(t, 40<<20)
	if err := os.WriteFile(target, read(t, foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	before := read(t, target)
	w.fails("installer", "is not empty, and nobody asked to erase it")
	if !bytes.Equal(before, read(t, target)) {
		t.Fatal("the disk has changed")
	}
	w.records.Update(t.Context(), "node", func(r *Record) error { granted(r); return nil })
	if got := w.start(); got != "restart" {
		t.Fatalf("it became %q", got)
	}
	holds(t, target, image)
}

// TestDamagedImage: a byte of the server's file is wrong. The disk is left
// with the mark of an unfinished write, and the machine installs itself when
// the file is right again.
func TestDamagedImage(t *testing.T) {
	w, image, target, _ := installing(t)
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/a/") || strings.HasSuffix(r.URL.Path, ".pieces") || !strings.HasPrefix(r.Header.Get("Range"), "bytes=6291456-") {
			return false
		}
		rec := &flip{ResponseWriter: rw}
		w.handler.ServeHTTP(rec, r)
		return true
	}
	w.fails("corrupt", "its bytes are not those that were signed")
	if r := w.record(); !r.Grant.Open(t0) {
		t.Error("the grant is used up, and nothing is installed")
	}
	if !strings.HasPrefix(string(read(t, target)), "slipway: unfinished write") {
		t.Error("the disk does not say that it is unfinished")
	}
	w.before = nil
	if got := w.start(); got != "restart" {
		t.Fatalf("it became %q", got)
	}
	holds(t, target, image)
}

// flip changes a bit of what is sent.
type flip struct {
	http.ResponseWriter
	done bool
}

func (f *flip) Write(b []byte) (int, error) {
	if len(b) > 10 && !f.done {
		f.done = true
		b = bytes.Clone(b)
		b[10] ^= 1
	}
	return f.ResponseWriter.Write(b)
}

// TestRecoveryStick installs from the stick's own partition, once.
func TestRecoveryStick(t *testing.T) {
	w, image, target, _ := installing(t)
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := MakeChunks(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	list, digest, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var data bytes.Buffer
	if err := Pack(&data, f, c); err != nil {
		t.Fatal(err)
	}
	m := w.machine
	m.write("root/"+ChunksPath, string(list))
	m.write("sys/class/block/sdz2/uevent", "DEVTYPE=partition\nPARTNAME=slipway-image\n")
	m.write("dev/sdz2", data.String())
	p := w.program()
	p.srv = nil
	p.cfg.Offline = &Offline{Label: "slipway-image", Order: Order{Machine: "node", Do: DoInstall, Version: "v1", Grant: "stick", Disk: "serial:INSTALLME",
		Image: &Artefact{List: digest, Size: c.Size}}}
	if err := p.run(t.Context()); err != nil || strings.Join(m.got, "") != "restart" {
		t.Fatalf("it became %q: %v", m.got, err)
	}
	holds(t, target, image)
	before := read(t, target)
	p.cfg.Offline.Erase = true
	if err := p.run(t.Context()); err == nil || !strings.Contains(err.Error(), "by this stick already") {
		t.Errorf("the second start says %v", err)
	}
	p.cfg.Offline.Order.Grant, p.cfg.Offline.Erase = "another stick", false
	if err := p.run(t.Context()); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("another stick says %v", err)
	}
	if !bytes.Equal(before, read(t, target)) {
		t.Error("a refused installation has written")
	}
	m.write("dev/sdz2", strings.Repeat("x", data.Len()))
	p.cfg.Offline.Erase = true
	if err := p.run(t.Context()); err == nil || !strings.Contains(err.Error(), "its bytes are not those") {
		t.Errorf("a damaged stick says %v", err)
	}
}

var _ io.Writer = (*flip)(nil)
