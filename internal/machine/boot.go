package machine

import "slices"

// Defaults of machines that boot their own kernel (docs/design.md, section 3).
const (
	DefaultConsole = "ttyS0,115200"
	armConsole     = "ttyAMA0,115200" // a PL011, as QEMU's virt and server boards have
	DefaultESP     = Size(128 << 20)
	DefaultBIOS    = Size(1 << 20)
)

// Kernels lists the kernels of the machine, the default one first. Without the
// key there is one, the distribution's own.
func (d *Definition) Kernels() []Kernel {
	if len(d.Kernel) == 0 {
		return []Kernel{{Package: "auto"}}
	}
	out := slices.Clone(d.Kernel)
	for i := range out {
		if out[i].Package == "" && out[i].File == "" {
			out[i].Package = "auto"
		}
	}
	return out
}

// Firmwares lists what the machine's disk boots under.
func (d *Definition) Firmwares() []string {
	if len(d.Boot.Firmware) == 0 {
		switch d.Boot.Loader {
		case "systemd-boot", "uki":
			return []string{"uefi"}
		case "extlinux":
			return []string{"uboot"}
		}
		if d.Disk.Table == "msdos" {
			return []string{"bios"}
		}
		if d.Arch != "amd64" && d.Arch != "i386" {
			return []string{"uefi"}
		}
		return []string{"uefi", "bios"}
	}
	return d.Boot.Firmware
}

// Boots tells whether the machine's disk boots under a firmware.
func (d *Definition) Boots(firmware string) bool { return slices.Contains(d.Firmwares(), firmware) }

// Consoles lists the consoles of loader, kernel and login; the last one is
// /dev/console.
func (d *Definition) Consoles() []string {
	if len(d.Boot.Console) == 0 {
		if d.Arch == "arm64" || d.Arch == "armhf" {
			return []string{armConsole}
		}
		return []string{DefaultConsole}
	}
	return d.Boot.Console
}

// Loader is the boot loader for a firmware: systemd-boot, uki, grub, extlinux
// (which u-boot reads itself) or none.
func (d *Definition) Loader(firmware string) string {
	switch l := d.Boot.Loader; {
	case l == "" || l == "auto":
		switch firmware {
		case "bios":
			return "grub"
		case "uboot":
			return "extlinux"
		}
		return "systemd-boot"
	case firmware == "uboot" && l != "none":
		return "extlinux" // it reads nothing else that slipway writes
	case firmware == "bios" && (l == "systemd-boot" || l == "uki"):
		return "grub" // those exist for UEFI only
	default:
		return l
	}
}

// NoDisk tells that no disk of the machine has a loader: it is a bare file
// system, or its kernel comes from outside.
func (d *Definition) NoDisk() bool {
	k := d.Kernels()[0]
	return d.Disk.Table == "none" || k.Package == "host" || k.Package == "none" || d.Boot.Loader == "none"
}

// DistroInitramfs tells whether the distribution makes the machine's initramfs.
func (d *Definition) DistroInitramfs() bool { return d.Boot.Initramfs == "distro" }

// Layout is the disk block with its defaults filled in. A partition that has
// no size takes what it holds and some room; sizes stay zero for those.
func (d *Definition) Layout() Disk {
	out := d.Disk
	setDefault(&out.Table, "gpt")
	if out.SectorSize == 0 {
		out.SectorSize = 512
	}
	out.Partitions = slices.Clone(out.Partitions)
	if len(out.Partitions) == 0 {
		out.Partitions = d.standardPartitions(out.Table)
	}
	for i := range out.Partitions {
		out.Partitions[i].fill()
	}
	return out
}

// standardPartitions are those of a machine that names none.
func (d *Definition) standardPartitions(table string) []Partition {
	root := Partition{Use: "root", Grow: true}
	if table == "none" {
		return []Partition{root}
	}
	var out []Partition
	if table != "msdos" && d.Boots("uefi") && d.Boot.Loader != "none" {
		out = append(out, Partition{Use: "esp"})
	}
	if table != "msdos" && d.Boots("bios") && d.Boot.Loader != "none" {
		out = append(out, Partition{Use: "bios"})
	}
	if len(d.State) > 0 {
		out = append(out, Partition{Use: "state", Size: 1 << 30})
	}
	return append(out, root)
}

func (p *Partition) fill() {
	switch p.Use {
	case "esp":
		setDefault(&p.Filesystem, "vfat")
		setDefault(&p.Size, DefaultESP)
	case "bios":
		setDefault(&p.Size, DefaultBIOS)
	case "boot", "root", "data", "state":
		setDefault(&p.Filesystem, "ext4")
	}
	setDefault(&p.Label, p.Use)
	setDefault(&p.Name, p.Use)
	if p.Use == "boot" {
		setDefault(&p.Mount, "/boot")
	}
}

// RootPartition is the partition of a filled layout that holds the root.
func (d Disk) RootPartition() (Partition, bool) { return d.Partition("root") }

// Partition finds the first partition of a use.
func (d Disk) Partition(use string) (Partition, bool) {
	i := slices.IndexFunc(d.Partitions, func(p Partition) bool { return p.Use == use })
	if i < 0 {
		return Partition{}, false
	}
	return d.Partitions[i], true
}
