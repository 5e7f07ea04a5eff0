package netplay

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/machine"
	"slipway/internal/netboot/node"
	"slipway/internal/web"
)

// TestUnknownMachine tells what it is made of, is shown with a definition and a
// rehearsal, is approved on the page, and starts again as a machine of the fleet.
func TestUnknownMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ram)
	const stranger = "52:54:00:00:02:07"
	boot := func(xid byte) *client {
		c := w.clientOf(stranger)
		c.xid = xid
		return c.address(uefi...).loader().ipxe().asks()
	}
	c := boot(1)
	if !strings.Contains(c.script, "unknown machine") || c.node == "" {
		t.Fatalf("an unknown machine is told to run\n%s", c.script)
	}
	c.systems()
	own := *hardware
	own.NICs = []node.NIC{{Name: "eth0", MAC: stranger, Driver: "e1000e", Path: "0000:00:19.0", Link: true}}
	ask := func() string { return c.orders(&own).Do }
	if do := ask(); do != node.DoInventory {
		t.Errorf("an unknown machine is told to do %q", do)
	}

	var d web.Detail
	w.ask(t, http.MethodGet, "/api/machines/"+stranger, "", &d)
	if d.Suggested == nil || d.Row.State != "unknown" || !strings.Contains(d.Suggested.Rehearsal, "model: e1000e, slot: \"19.0\"") {
		t.Fatalf("the page shows %+v", d.Suggested)
	}
	var info struct{ CSRF string }
	w.ask(t, http.MethodGet, "/api/info", "", &info)
	var said struct{ Error string }
	approve := "/api/machines/" + stranger + "/approve"
	for query, want := range map[string]string{"?name=../evil": "is no name", "?name=" + name: "there is another machine " + name} {
		if status := w.ask(t, http.MethodPost, approve+query, info.CSRF, &said); status == http.StatusOK || !strings.Contains(said.Error, want) {
			t.Errorf("%s: %d %q, want %q", query, status, said.Error, want)
		}
	}
	if status := w.ask(t, http.MethodPost, approve+"?name=db7", "", &said); status != http.StatusForbidden {
		t.Errorf("without the page's token: %d", status)
	}
	if do := ask(); do != node.DoInventory {
		t.Errorf("before it is approved it is told to do %q", do)
	}
	if status := w.ask(t, http.MethodPost, approve+"?name=db7", info.CSRF, &said); status != http.StatusOK {
		t.Fatalf("approving: %d %q", status, said.Error)
	}
	dir := t.TempDir() // both are downloaded
	rehearsal := filepath.Join(dir, d.Suggested.RehearsalFile)
	ok(t, os.WriteFile(rehearsal, []byte(d.Suggested.Rehearsal), 0o600), os.WriteFile(filepath.Join(dir, d.Suggested.Name+".yaml"), []byte(d.Suggested.Definition), 0o600))
	if v, err := machine.Load(rehearsal, machine.Options{HostArch: "amd64"}); err != nil || v.Name != d.Suggested.Name || len(v.VM.NICs) != 1 || v.VM.NICs[0].MAC != stranger {
		t.Errorf("the rehearsal: %v %+v", err, v)
	}
	w.folder.Refresh()
	w.declare()
	if n, _ := w.Fleet.Node(stranger); n.Name != "db7" || len(w.Fleet.Nodes()) != 2 {
		t.Errorf("the unknown machine is still there: %+v", w.Fleet.Nodes())
	}
	if do := ask(); do != node.DoDisk {
		t.Errorf("approved it is told to do %q, want a restart", do)
	}
	if c = boot(50); !strings.Contains(c.script, "db7") || c.node == "" {
		t.Errorf("it starts again as\n%s", c.script)
	}
	if do := ask(); do != node.DoInstall {
		t.Errorf("as a machine of the fleet it is told to do %q", do)
	}
	if status := w.ask(t, http.MethodPost, "/api/machines/db7/approve?name=db8", info.CSRF, &said); status == http.StatusOK {
		t.Error("a machine of the fleet is approved again")
	}
}
