package netplay

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"slipway/internal/fleet"
	"slipway/internal/netboot"
	"slipway/internal/netboot/node"
)

// installed reports that the disk is written.
func (c *client) installed(grant string) *client {
	c.w.t.Helper()
	return c.reports(node.Report{Stage: fleet.StageInstall, Text: "written", Installed: &node.Mark{Machine: name, Grant: grant, Version: "v1", Time: time.Now()},
		Fields: map[string]string{fleet.FieldVersion: "v1"}})
}

// stages are the steps of an installation over the network; the last makes it
// final.
var stages = []struct {
	name string
	do   func(*client)
}{
	{"nothing", func(*client) {}},
	{"offer", func(c *client) { c.discover(uefi...) }},
	{"address", func(c *client) { c.request(uefi...) }},
	{"half a loader", func(c *client) { c.tftp(c.file, 30<<10) }},
	{"loader", func(c *client) { c.loader() }},
	{"loader's address", func(c *client) { c.ipxe() }},
	{"script", func(c *client) { c.asks() }},
	{"half a kernel", func(c *client) { c.get(c.kernel, 100<<10) }},
	{"kernel", func(c *client) { c.fetches(c.kernel) }},
	{"initrd", func(c *client) { c.fetches(c.initrd) }},
	{"order", func(c *client) { c.order() }},
	{"half a disk", func(c *client) { c.reports(node.Report{Stage: fleet.StageInstall, Bytes: 50, Total: 100}) }},
	{"installed", func(c *client) { c.installed(c.grant) }},
}

// again is the machine's next power-on: it is installed, unless it said that it
// is, and then it is sent to its disk.
func (w *world) again(done bool) {
	w.t.Helper()
	c := w.client()
	c.xid = 50
	for _, s := range stages[:7] {
		s.do(c)
	}
	if done {
		if c.node != "" || !strings.Contains(c.script, "starts from its disk") {
			w.t.Errorf("an installed machine is told to run\n%s", c.script)
		}
		return
	}
	for _, s := range stages[7:] {
		s.do(c)
	}
}

// TestKilledAtEveryStage kills the server after each stage of an installation.
// The next one knows what the machine was told for sure: it keeps its address,
// is installed if it was not, and never twice.
func TestKilledAtEveryStage(t *testing.T) {
	for i, stage := range stages {
		t.Run(strings.ReplaceAll(stage.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			p, w := newProcess(t, installing)
			c := w.client()
			for _, s := range stages[:i+1] {
				s.do(c)
			}
			p.kill()
			p.start()
			if c.kernel != "" { // the loader tries again what broke off
				if status, _ := c.get(c.kernel, 0); status != http.StatusOK && status != http.StatusForbidden {
					t.Errorf("after the kill the kernel is answered with status %d", status)
				}
			}
			done := i == len(stages)-1
			w.again(done)
			if d := p.machine(); d.Node.Installed != "v1" || d.Node.Address != w.lan.addr(50).String() {
				t.Errorf("in the end the machine is %+v", d.Node)
			}
			w.again(true)
		})
	}
}

// TestPowerCutAtEveryStage cuts the machine's power after each stage: the next
// power-on begins anew and comes to its end.
func TestPowerCutAtEveryStage(t *testing.T) {
	for i, stage := range stages {
		t.Run(strings.ReplaceAll(stage.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, installing)
			c := w.client()
			for _, s := range stages[:i+1] {
				s.do(c)
			}
			w.again(i == len(stages)-1)
			w.again(true)
			ok(t, w.Fleet.Flush(t.Context()))
			events, err := w.Fleet.Events(t.Context(), name, time.Time{}, 0)
			ok(t, err)
			writes := 0
			for _, e := range events {
				if e.Kind == fleet.KindInstallDone {
					writes++
				}
			}
			if n, _ := w.Fleet.Node(name); n.Installed != "v1" || writes != 1 {
				t.Errorf("it was installed %d times: %+v", writes, n)
			}
		})
	}
}

// TestServerDiskFull: while nothing can be kept the server says so and stays,
// and it goes on when there is room again.
func TestServerDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skip("no file system can be mounted here: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	w := newWorld(t, ram, func(c *setup) { c.State = dir })
	w.client().boots()
	filler, err := os.Create(filepath.Join(dir, "filler"))
	ok(t, err)
	for n := 1; n > 0; { // to the last byte
		n, _ = filler.Write(make([]byte, 4096))
	}
	filler.Close()
	c := w.clientOf("52:54:00:00:01:01")
	c.discover(uefi...) // that a lease must be kept before it is given is tested in package dhcp
	end := time.Now().Add(2 * soon)
	for err = nil; err == nil && time.Now().Before(end); err = w.Fleet.Flush(t.Context()) {
		w.Record(fleet.Event{Client: c.mac.String(), Kind: fleet.KindNodeLog, Text: strings.Repeat("fills the last page ", 50)})
	}
	if err == nil {
		t.Error("nothing says that the records are not kept")
	}
	select {
	case err := <-w.done:
		t.Fatalf("the server has ended: %v", err)
	default:
	}
	ok(t, os.Remove(filler.Name()))
	end = time.Now().Add(4 * soon)
	for w.Fleet.Flush(t.Context()) != nil && time.Now().Before(end) {
		time.Sleep(50 * time.Millisecond)
	}
	c.address(uefi...)
	w.client().boots()
	if a := w.why(t, name, 0); a.State != fleet.StateWaiting {
		t.Errorf("after there is room again: %+v", a)
	}
}

// TestReplacedWhileServed: who began with the old system ends with it, and the
// next boot gets the new one.
func TestReplacedWhileServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ram)
	c := w.client()
	c.address(uefi...).loader().ipxe().asks()
	old, err := os.ReadFile(w.setup.file("initrd"))
	ok(t, err)
	resp, err := c.http().Get(c.initrd)
	ok(t, err)
	defer resp.Body.Close()
	got := make([]byte, len(old))
	_, err = resp.Body.Read(got[:1000])
	ok(t, err)
	fresh := bytes.ToUpper(old)
	ok(t, os.WriteFile(w.setup.file("new"), fresh, 0o644), os.Rename(w.setup.file("new"), w.setup.file("initrd")))
	w.system.Store(&netboot.System{Version: "v2", Kernel: w.setup.file("vmlinuz"), Initrd: w.setup.file("initrd")})
	next := w.clientOf(mac)
	next.xid = 50
	next.address(uefi...).loader().ipxe().asks()
	if _, data := next.get(next.initrd, 0); !bytes.Equal(data, fresh) {
		t.Error("the next boot does not get the new initrd")
	}
	if _, data := c.get(c.initrd, 0); !bytes.Equal(data, old) {
		t.Error("a boot that was told of the old initrd gets another one")
	}
}

// TestInterfaceGoneAndBack: the cable's end is removed and comes back, and all
// servers answer on it again.
func TestInterfaceGoneAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ram)
	w.client().boots()
	near, err := netlink.LinkByName(w.lan.name)
	ok(t, err, netlink.LinkSetDown(near))
	w.saw("dhcp.link", "nobody on")
	ok(t, netlink.LinkSetUp(near))
	w.saw("dhcp.link", "is back")
	w.client().boots()
}

// TestPortTaken: a second server says who has the port.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ram)
	_, err := w.setup.open(context.Background(), nil)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", os.Getpid())) {
		t.Errorf("a second server on the same address: %v", err)
	}
}
