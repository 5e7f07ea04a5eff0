package netnode

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"slipway/internal/boot"
	"slipway/internal/e2e/kit"
	"slipway/internal/netboot/node"
	"slipway/internal/target/qemu"
)

// TestBootNodeRecoveryStick reinstalls a machine from a stick, with no network
// card at all, and boots the disk. Firmware starts a stick by its boot sector or
// by its ESP.
func TestBootNodeRecoveryStick(t *testing.T) {
	for _, firmware := range []string{"bios", "uefi"} {
		t.Run(firmware, func(t *testing.T) { recoveryStick(t, firmware) })
	}
}

func recoveryStick(t *testing.T, firmware string) {
	b := newBench(t)
	w := kit.SharedWorld(t)
	out := filepath.Join(b.dir, "stick.raw")
	w.Must("stick", kit.Write(t, b.dir, "node.yaml", tinyText), "-o", out)
	target := b.disk("target.raw", 3<<30)
	c := b.vm(qemu.Config{Boot: qemu.Boot{Firmware: firmware}, Disks: []qemu.Disk{
		{Path: target, Serial: "INSTALLME", Ephemeral: true}, {Path: out, Bus: "ahci", Boot: 1},
	}})
	b.boots(c, "") // until it restarts
	b.boots(b.vm(qemu.Config{Boot: qemu.Boot{Firmware: firmware}, Disks: []qemu.Disk{{Path: target, Serial: "INSTALLME", Boot: 1, Ephemeral: true}}}),
		"tiny: up on /dev/vda")
}

// TestBootNodeStaticStick starts a machine in RAM from a boot stick, by a fixed
// address: nobody is asked for one. With a BIOS a stick starts as above.
func TestBootNodeStaticStick(t *testing.T) {
	b := newBench(t)
	made := b.build(tinyText, boot.NetRoot)
	root := b.shelve(made.Root, "squashfs")
	b.offer = func(*node.Question) (*node.Offer, error) {
		return &node.Offer{Machine: "node1", Mode: node.DoRAM, Version: "v1", Within: time.Minute,
			Artefacts: func(string, json.RawMessage) (*node.Artefacts, error) {
				return &node.Artefacts{Image: root, Memory: made.Memory}, nil
			}}, nil
	}
	w := kit.SharedWorld(t)
	out := filepath.Join(b.dir, "stick.raw")
	w.Must("stick", kit.Write(t, b.dir, "node.yaml", tinyText), "-o", out, "--server", b.address("good"),
		"--key", filepath.Join(b.dir, "order.key"), "--ip", "10.0.2.77::10.0.2.2:255.255.255.0")
	b.boots(b.vm(qemu.Config{Boot: qemu.Boot{Firmware: "uefi"}, Disks: []qemu.Disk{{Path: out, Bus: "ahci", Boot: 1}}, Extra: card("")}),
		"tiny: up on overlay")
}

// TestBootNodeInventory has an unknown machine tell what it is made of.
func TestBootNodeInventory(t *testing.T) {
	b := newBench(t)
	made := b.build(tinyText, boot.Net)
	b.offer = func(*node.Question) (*node.Offer, error) { return &node.Offer{Mode: node.DoInventory}, nil }
	b.boots(b.vm(qemu.Config{
		Boot:  qemu.Boot{Kernel: made.Kernel, Initrd: b.initrd(made.Initrd, node.Config{}), Cmdline: node.Cmdline(made.Cmdline, b.address("nobody"))},
		Disks: []qemu.Disk{{Path: b.disk("a.raw", 2<<30), Serial: "FIRST"}, {Path: b.disk("b.raw", 1<<30), Bus: "nvme", Serial: "SECOND"}},
		Extra: card(""),
	}), "an unknown machine, inventory")
	h := b.hardware
	if h == nil || len(h.NICs) != 1 || h.NICs[0].MAC != "52:54:00:aa:bb:01" || h.NICs[0].Driver != "virtio_net" || len(h.Disks) != 2 || h.Memory < 512<<20 {
		t.Fatalf("it told %+v", h)
	}
	for _, d := range h.Disks {
		if d.ByPath == "" || d.Serial == "" || d.Size == 0 {
			t.Errorf("the disk %+v lacks something", d)
		}
	}
	t.Logf("%s\n%s", node.Suggest("found", "debian/trixie", h), node.Rehearsal("found.yaml", h))
}
