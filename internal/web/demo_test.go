package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"slipway/internal/fleet"
)

// hostile is what a machine may call itself.
const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`

// demo is a fleet in all states, as servers would have told of it.
func demo(t testing.TB, n int) (*fleet.Fleet, *Server) {
	t.Helper()
	f, err := fleet.New(context.Background(), fleet.NewMemory(fleet.Limits{}), fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	for i := range n {
		demoMachine(t, f, i)
	}
	f.Record(fleet.Event{Time: time.Now().Add(-20 * time.Second), Client: "52:54:00:99:00:01", Address: "10.20.9.9", Kind: fleet.KindDiscover, Fields: map[string]string{fleet.FieldVendorClass: "PXEClient:Arch:00007"}})
	f.Record(fleet.Event{Client: "52:54:00:99:00:01", Kind: fleet.KindNodeInit, Stage: fleet.StageInit, Text: hostile})
	f.SetInventory(t.Context(), "52:54:00:99:00:01", json.RawMessage(`{"cpu":"Intel N100, 4 cores","memory":"16 GiB, no ECC","firmware":"UEFI","nics":[{"name":"enp1s0","mac":"52:54:00:99:00:01","driver":"igc"}],"disks":[{"name":"nvme0n1","serial":"S6P7NX0T","size":"1 TB"}]}`))
	done := func(context.Context, string) error { return nil }
	s := New(t.Context(), f, Options{Actions: Actions{Approve: func(context.Context, string, string) error { return nil }, Reinstall: done, Wake: done,
		Suggest: func(_ context.Context, m string) (*fleet.Suggestion, error) {
			h := "  mode: install\n  disk: \"serial:S6P7NX0T\" # nvme0n1, 1024209 MiB Samsung SSD 980\n  firmware: uefi\n  match:\n    mac: [\"" + m + "\"]\n"
			return &fleet.Suggestion{Name: "node-990001", File: "/srv/fleet/node-990001.yaml", Definition: "slipway: v1\nname: node-990001\nsystem: debian/trixie\nnetboot:\n" + h,
				RehearsalFile: "node-990001-rehearsal.yaml", Rehearsal: "slipway: v1\ninclude: [\"node-990001.yaml\"]\nvm:\n  nics:\n    - {mac: \"" + m + "\", model: igb, slot: \"19.0\"}\n",
				Command: "slipway test node-990001-rehearsal.yaml --on netboot"}, nil
		},
		Definition: func(_ context.Context, m string) (string, error) {
			return "slipway: v1\nname: " + m + "\nsystem: debian/trixie\npackages: [nginx-light]\nnetboot:\n  mode: install\n", nil
		}}})
	return f, s
}

func demoMachine(t testing.TB, f *fleet.Fleet, i int) {
	name, mac := fmt.Sprintf("node%d", i+1), fmt.Sprintf("52:54:00:00:%02x:%02x", i/256, i%256)
	if err := f.Update(t.Context(), name, func(n *fleet.Node) error {
		n.Name, n.Clients, n.Definition, n.Mode = name, []string{mac}, "fleet/web.yaml", "install"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if i%5 == 4 {
		return
	}
	boot := func(at time.Time, upTo int) {
		record := func(after time.Duration, e fleet.Event) {
			e.Time, e.Client, e.Address = at.Add(after), mac, fmt.Sprintf("10.20.%d.%d", i/250, i%250+1)
			f.Record(e)
		}
		steps := []fleet.Event{
			{Kind: fleet.KindDiscover, Stage: fleet.StageFirmware, Fields: map[string]string{fleet.FieldVendorClass: "PXEClient:Arch:00007", fleet.FieldArch: "7"}},
			{Kind: fleet.KindAck, Stage: fleet.StageDHCP},
			{Kind: fleet.KindTFTPDone, Stage: fleet.StageLoader, Bytes: 1111040, Fields: map[string]string{fleet.FieldFile: "snponly.efi"}},
			{Kind: fleet.KindScript, Stage: fleet.StageScript},
			{Kind: fleet.KindHTTPDone, Stage: fleet.StageKernel, Bytes: 8200000, Fields: map[string]string{fleet.FieldFile: "vmlinuz"}},
			{Kind: fleet.KindHTTPDone, Stage: fleet.StageInitrd, Bytes: 31000000, Fields: map[string]string{fleet.FieldFile: "initrd"}},
			{Kind: fleet.KindNodeInit, Stage: fleet.StageInit},
			{Kind: fleet.KindNodeNetwork, Stage: fleet.StageNetwork},
			{Kind: fleet.KindNodeReport, Stage: fleet.StageLogin},
			{Kind: fleet.KindProbeOK, Fields: map[string]string{fleet.FieldProbe: "ssh"}},
			{Kind: fleet.KindProbeOK, Fields: map[string]string{fleet.FieldProbe: "page"}},
			{Kind: fleet.KindNodeReport, Stage: fleet.StageProven},
		}
		for j, e := range steps[:upTo] {
			record(time.Duration(j*j)*330*time.Millisecond, e)
			if e.Kind == fleet.KindNodeInit {
				record(time.Duration(j*j)*330*time.Millisecond, fleet.Event{Kind: fleet.KindConsole, Text: "[    0.812345] virtio_net virtio0 enp1s0: renamed from eth0"})
				record(time.Duration(j*j)*340*time.Millisecond, fleet.Event{Kind: fleet.KindConsole, Text: "[    2.104211] EXT4-fs (vda2): mounted filesystem " + hostile})
			}
		}
	}
	now := time.Now()
	boot(now.Add(-26*time.Hour), 12)
	switch i % 5 {
	case 0, 1:
		boot(now.Add(-40*time.Minute), 12)
	case 2:
		boot(now.Add(-15*time.Second), 8)
		for j := range 4 {
			f.Record(fleet.Event{Time: now.Add(time.Duration(j-4) * time.Second), Client: mac, Kind: fleet.KindNodeProgress, Stage: fleet.StageInstall, Text: "writing the disk",
				Bytes: int64(j+2) * 300e6, Total: 2.1e9, Fields: map[string]string{fleet.FieldFile: "disk"}})
		}
	case 3:
		boot(now.Add(-9*time.Minute), 9)
		f.Record(fleet.Event{Time: now.Add(-8 * time.Minute), Client: mac, Kind: fleet.KindProbeOK, Fields: map[string]string{fleet.FieldProbe: "ssh"}})
		f.Record(fleet.Event{Time: now.Add(-8 * time.Minute), Client: mac, Kind: fleet.KindProbeFail, Problem: "http://machine:80/: got status 502, want 200", Fields: map[string]string{fleet.FieldProbe: "page"}})
	}
}

func serveDemo(t testing.TB, n int) (*fleet.Fleet, *httptest.Server) {
	t.Helper()
	f, s := demo(t, n)
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		srv.CloseClientConnections() // browsers hold their streams open
		srv.Close()
	})
	return f, srv
}
