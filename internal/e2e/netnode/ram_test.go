package netnode

import (
	"encoding/json"
	"testing"
	"time"

	"slipway/internal/boot"
	"slipway/internal/netboot/node"
	"slipway/internal/target/qemu"
)

// TestBootNodeRAM brings a root into memory by a small initrd, over a network
// that has a DHCP server.
func TestBootNodeRAM(t *testing.T) {
	b := newBench(t)
	made := b.build(tinyText, boot.NetRoot)
	root := b.shelve(made.Root, "squashfs")
	b.offer = func(*node.Question) (*node.Offer, error) {
		return &node.Offer{Machine: "node1", Mode: node.DoRAM, Version: "v1", Within: time.Minute,
			Artefacts: func(string, json.RawMessage) (*node.Artefacts, error) {
				return &node.Artefacts{Image: root, Memory: made.Memory}, nil
			}}, nil
	}
	initrd := b.initrd(made.Initrd, node.Config{})
	b.boots(b.vm(qemu.Config{
		Boot:  qemu.Boot{Kernel: made.Kernel, Initrd: initrd, Cmdline: node.Cmdline(made.Cmdline, b.address("good"))},
		Extra: card(""),
	}), "tiny: up on overlay")
	if !b.heard("is what was signed") {
		t.Error("the server did not hear that the root is there")
	}
}
