package netnode

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"slipway/internal/boot"
	"slipway/internal/netboot/node"
	"slipway/internal/target/qemu"
)

// TestBootNodeInstall writes a machine to the disk that its definition names.
// The first time it names one that is not there. The report that the disk is
// finished never arrives: the disk's own mark tells of it, and it boots.
func TestBootNodeInstall(t *testing.T) {
	b := newBench(t)
	image := b.build(tinyText, boot.Disk)
	made := b.build(tinyText, boot.Net)
	disk := b.shelve(image.Disk, "raw")
	asked := 0
	b.offer = func(*node.Question) (*node.Offer, error) {
		asked++
		serial := map[bool]string{true: "serial:NOTHERE", false: "serial:INSTALLME"}[asked == 1]
		return &node.Offer{Machine: "node1", Mode: node.DoInstall, Version: "v1", Disk: serial,
			Artefacts: func(string, json.RawMessage) (*node.Artefacts, error) { return &node.Artefacts{Image: disk}, nil }}, nil
	}
	b.refuse = func(r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/report") {
			return false
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		return bytes.Contains(body, []byte(`"installed"`))
	}
	target, other := b.disk("target.raw", 3<<30), b.disk("other.raw", 64<<20)
	if err := os.WriteFile(other, []byte(strings.Repeat("not to be touched\n", 1<<20)[:16<<20]), 0o600); err != nil {
		t.Fatal(err)
	}
	before := sum(t, other)
	c := b.vm(qemu.Config{
		Boot:  qemu.Boot{Kernel: made.Kernel, Initrd: b.initrd(made.Initrd, node.Config{}), Cmdline: node.Cmdline(made.Cmdline, b.address("good"))},
		Disks: []qemu.Disk{{Path: other, Serial: "OTHER", Ephemeral: true}, {Path: target, Serial: "INSTALLME", Ephemeral: true}},
		Extra: card(""),
	})
	begin := time.Now()
	b.boots(c, "") // until it restarts
	t.Logf("installed in %s", time.Since(begin))
	if !b.heard("no disk is serial:NOTHERE") || b.heard("the installer's report") {
		t.Error("the wrong serial number was not reported, or the lost report arrived")
	}
	if sum(t, other) != before {
		t.Error("the bytes of a disk that nobody named have changed")
	}
	written := sum(t, target)
	c.RunDir = b.vm(c).RunDir
	b.boots(c, "") // comes back, and is sent to its disk
	if !b.heard("the disk carries the mark of the granted installation") {
		t.Error("the mark on the disk was not taken as evidence")
	}
	if sum(t, target) != written {
		t.Error("a lost report has changed the disk")
	}
	b.boots(b.vm(qemu.Config{Boot: qemu.Boot{Firmware: "bios"}, NoReboot: true, Disks: []qemu.Disk{{Path: target, Serial: "INSTALLME", Boot: 1, Ephemeral: true}}}),
		"tiny: up on /dev/vda")
}

func sum(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
