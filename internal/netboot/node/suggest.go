package node

import (
	"fmt"
	"regexp"
	"strings"
)

// Suggest writes a definition for a machine that nobody knows yet: by what the
// server knows it again, the disk that it would be installed on, and what
// drivers asked for.
func Suggest(name, system string, h *Hardware) string {
	var b strings.Builder
	fmt.Fprintf(&b, "slipway: v1\nname: %s\nsystem: %s\n", name, system)
	if h.Firmware == "uefi" {
		b.WriteString("boot: {firmware: [uefi]}\n")
	}
	if len(h.MissingFirmware) > 0 {
		fmt.Fprintf(&b, "# Drivers asked for firmware that was not there: %s.\n", comment(strings.Join(h.MissingFirmware, ", ")))
	}
	for _, n := range h.NoDriver {
		fmt.Fprintf(&b, "# No driver took the device %s.\n", comment(n))
	}
	b.WriteString("network:\n")
	for _, n := range h.NICs {
		if n.Link || len(h.NICs) == 1 {
			fmt.Fprintf(&b, "  - {match: %s, dhcp: true} # %s\n", quoted(n.MAC), comment(n.words()))
		}
	}
	b.WriteString("netboot:\n  mode: install\n")
	if disk := target(h.Disks); disk != nil {
		fmt.Fprintf(&b, "  disk: %s # %s\n", quoted(disk.selector()), comment(disk.words()))
	} else {
		b.WriteString("  # The machine shows no disk: choose mode: ram, or look for its controller.\n")
	}
	fmt.Fprintf(&b, "  firmware: %s\n  match:\n", h.Firmware)
	var macs []string
	for _, n := range h.NICs {
		if n.MAC != "" {
			macs = append(macs, quoted(n.MAC))
		}
	}
	if len(macs) > 0 {
		fmt.Fprintf(&b, "    mac: [%s]\n", strings.Join(macs, ", "))
	} else if h.UUID != "" {
		fmt.Fprintf(&b, "    uuid: %s\n", quoted(h.UUID))
	}
	return b.String()
}

// Rehearsal writes a definition that includes another one and gives its
// virtual machine the same cards and disks: number, addresses, PCI slots,
// controllers and serial numbers. Sizes of disks are the real ones: they take
// space as they are written. Memory and processors are what a host can spare.
func Rehearsal(include string, h *Hardware) string {
	var b strings.Builder
	fmt.Fprintf(&b, "slipway: v1\ninclude: [%s]\n", quoted(include))
	fmt.Fprintf(&b, "vm:\n  memory: %dM\n", min(max(512, h.Memory>>20), 4096)) // what hosts have
	fmt.Fprintf(&b, "  cpus: %d\n", max(1, min(h.CPUs, 8)))
	var first *Disk
	if first = target(h.Disks); first != nil {
		fmt.Fprintf(&b, "  bus: %s\n", vmBus(first.Bus))
		if s := serial(first.Serial); s != "" {
			fmt.Fprintf(&b, "  serial: %s\n", quoted(s))
		}
	}
	slots := map[string]bool{}
	if len(h.NICs) > 0 {
		b.WriteString("  nics:\n")
	}
	for _, n := range h.NICs {
		fmt.Fprintf(&b, "    - {mac: %s, model: %s%s} # %s\n", quoted(n.MAC), vmModel(n.Driver), slotOf(n.Path, slots), comment(n.words()))
	}
	head := "  disks:\n"
	for i := range h.Disks {
		d := &h.Disks[i]
		if d.Name == nameOf(first) || d.Removable {
			continue
		}
		number := ""
		if s := serial(d.Serial); s != "" {
			number = ", serial: " + quoted(s)
		}
		fmt.Fprintf(&b, "%s    - {size: %dM%s, bus: %s%s} # %s\n", head, max(1, d.Size>>20), number, vmBus(d.Bus), vmSlot(d, slots), comment(d.words()))
		head = ""
	}
	return b.String()
}

func nameOf(d *Disk) string {
	if d == nil {
		return ""
	}
	return d.Name
}

// target is the disk that an installation would write: the first that is built
// in, the smallest of those that do not turn.
func target(disks []Disk) (best *Disk) {
	for i := range disks {
		d := &disks[i]
		if d.Removable || d.Bus == "usb" || d.Size < 1<<30 {
			continue
		}
		if best == nil || best.Rotational && !d.Rotational || best.Rotational == d.Rotational && d.Size < best.Size {
			best = d
		}
	}
	return best
}

func (d *Disk) selector() string {
	switch {
	case d.Serial != "":
		return "serial:" + d.Serial
	case d.ByPath != "":
		return "/dev/disk/by-path/" + d.ByPath
	case len(d.ByID) > 0:
		return "/dev/disk/by-id/" + d.ByID[0]
	}
	return "/dev/" + d.Name
}

func (d *Disk) words() string {
	w := fmt.Sprintf("%s, %d MiB %s %s", d.Name, d.Size>>20, d.Model, d.ByPath)
	if len(d.Holds) > 0 {
		w += ", holds " + strings.Join(d.Holds, "; ")
	}
	return w
}

func (n *NIC) words() string {
	w := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", n.Name, n.Driver, n.Model, n.Path)), " ")
	if !n.Link {
		w += ", no line"
	} else if n.Speed > 0 {
		w += fmt.Sprintf(", %d Mbit/s", n.Speed)
	}
	return w
}

// vmModel is the card of QEMU that comes nearest to a driver's.
func vmModel(driver string) string {
	switch driver {
	case "e1000e", "e1000", "igb":
		return driver
	case "igc", "ixgbe", "i40e", "ice":
		return "igb"
	case "r8169", "8139cp", "8139too":
		return "rtl8139"
	}
	return "virtio"
}

// vmBus is the controller of QEMU that comes nearest.
func vmBus(bus string) string {
	switch bus {
	case "ahci", "nvme", "scsi":
		return bus
	}
	return "virtio"
}

var rootSlot = regexp.MustCompile(`^0000:00:([0-9a-f]{2}\.[0-7])$`)

// slotOf is the PCI slot of a device on the first bus, where a virtual machine
// can have it too; slots 0, 1 and 1f belong to its chipset.
func slotOf(path string, taken map[string]bool) string {
	m := rootSlot.FindStringSubmatch(path)
	if m == nil || taken[m[1]] || strings.HasPrefix(m[1], "00.") || strings.HasPrefix(m[1], "01.") || strings.HasPrefix(m[1], "1f.") {
		return ""
	}
	taken[m[1]] = true
	return ", slot: " + quoted(m[1])
}

// vmSlot is that of a disk that is a PCI device itself.
func vmSlot(d *Disk, taken map[string]bool) string {
	if b := vmBus(d.Bus); b != "virtio" && b != "nvme" {
		return ""
	}
	return slotOf(d.Path, taken)
}

// serial is a serial number as a virtual disk can have it.
func serial(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune("._-", r) {
			return r
		}
		return -1
	}, s)
	return s[:min(len(s), 20)]
}

// quoted is a YAML scalar; what comes from a machine is never trusted.
func quoted(s string) string { return fmt.Sprintf("%q", strings.ToValidUTF8(s, "?")) }

// comment is text that cannot end its line.
func comment(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 }), " ")
	return strings.TrimSpace(s[:min(len(s), 200)])
}
