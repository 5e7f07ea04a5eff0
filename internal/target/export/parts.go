package export

import (
	"fmt"
	"strconv"
	"strings"

	"slipway/internal/machine"
	"slipway/internal/target/qemu"
)

// libvirtBus and diskName are libvirt's words for how a disk is attached, and
// the beginning of what it is called.
var (
	libvirtBus = map[string]string{"": "virtio", "virtio": "virtio", "ahci": "sata", "scsi": "scsi"}
	diskName   = map[string]string{"virtio": "vd", "sata": "sd", "scsi": "sd"}
)

// diskList gives disks their names.
type diskList struct {
	disks []diskDevice
	named map[string]int // how many, by the beginning of the name
}

func (l *diskList) add(f File, bus, serial, slot string, sector int) error {
	kind, ok := libvirtBus[bus]
	if !ok {
		return fmt.Errorf("libvirt attaches no disk of its own by %s: choose virtio, ahci or scsi", bus)
	}
	d := diskDevice{Type: "file", Device: "disk", Driver: diskDriver{"qemu", f.Format, "unmap"}, Source: diskSource{File: f.Path}, Serial: serial}
	if f.Block {
		d.Type, d.Source = "block", diskSource{Dev: f.Path}
	}
	if sector == 4096 {
		d.BlockIO = &blockIO{sector, sector}
	}
	letters := diskName[kind]
	d.Target = diskTarget{Dev: letters + string(rune('a'+l.named[letters])), Bus: kind}
	l.named[letters]++
	if kind == "virtio" {
		d.Address = pciAddress(slot)
	}
	l.disks = append(l.disks, d)
	return nil
}

// disks are the machine's own and those of vm.disks.
func (g *Guest) disks() ([]diskDevice, error) {
	d := g.Definition
	list := &diskList{named: map[string]int{}}
	if g.Disk.Path != "" {
		serial := d.VM.Serial
		if serial == "" {
			serial = d.Name[:min(len(d.Name), 20)] // what virtio disks have room for
		}
		if err := list.add(g.Disk, d.VM.Bus, serial, "", d.Disk.SectorSize); err != nil {
			return nil, fmt.Errorf("%s: %w", d.At("vm.bus"), err)
		}
	}
	for i, extra := range d.VM.Disks {
		if err := list.add(g.Extra[i], extra.Bus, extra.Serial, extra.Slot, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", d.At(fmt.Sprintf("vm.disks.%d.bus", i)), err)
		}
	}
	return list.disks, nil
}

// cards are the network cards, with the addresses that the vm target gives.
func (g *Guest) cards() []netDevice {
	wanted := g.Definition.VM.NICs
	if len(wanted) == 0 {
		wanted = []machine.NIC{{}}
	}
	var out []netDevice
	for i, n := range wanted {
		card := netDevice{Type: "network", Source: netSource{Network: "default"}, Model: typed{n.Model}, Address: pciAddress(n.Slot)}
		if bridge := g.Definition.VM.Bridge; bridge != "" {
			card.Type, card.Source = "bridge", netSource{Bridge: bridge}
		}
		if n.Model == "" {
			card.Model.Type = "virtio"
		}
		card.MAC.Address = strings.ToLower(n.MAC)
		if n.MAC == "" {
			card.MAC.Address = qemu.MAC(g.Definition.Name, i).String()
		}
		out = append(out, card)
	}
	return out
}

// pciAddress is a slot as definitions have it, SLOT.FUNCTION; empty: libvirt's
// choice.
func pciAddress(slot string) *address {
	device, function, ok := strings.Cut(slot, ".")
	if !ok {
		return nil
	}
	a := &address{Type: "pci", Domain: "0x0000", Bus: "0x00", Slot: "0x" + device, Function: "0x" + function}
	if function == "0" {
		a.MultiFunction = "on"
	}
	return a
}

// shared is a folder of the host. The server of virtiofs cannot refuse to
// write in every version of libvirt, so what is read-only goes by 9p.
func shared(i int, s machine.Share) filesystem {
	f := filesystem{Type: "mount", AccessMode: "passthrough", Driver: typed{"virtiofs"}, Source: fsSource{s.Host}, Target: fsTarget{shareTag(i)}}
	if s.ReadOnly {
		f.Driver.Type, f.ReadOnly = "path", &struct{}{}
	}
	return f
}

// shareTag is the name by which a guest mounts a share, as on the vm target.
func shareTag(i int) string { return "share" + strconv.Itoa(i) }

// shareMounts are the lines of fstab for the shares: no agent mounts them in a
// machine that somebody else has started.
func shareMounts(shares []machine.Share) []machine.Mount {
	var out []machine.Mount
	for i, s := range shares {
		m := machine.Mount{What: shareTag(i), Where: s.Path, Type: "virtiofs", Options: "nofail,nosuid,nodev"}
		if s.ReadOnly {
			m.Type, m.Options = "9p", "trans=virtio,version=9p2000.L,ro,nofail,nosuid,nodev"
		}
		out = append(out, m)
	}
	return out
}
