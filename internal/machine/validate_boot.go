package machine

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// booting checks what a machine with its own kernel needs.
func (v *validator) booting() {
	v.kernels()
	v.loader()
	v.rawFrom()
	v.disk()
	v.virtual()
	v.shares()
}

func (v *validator) kernels() {
	for i, k := range v.d.Kernel {
		key := v.kernelKey(i)
		if k.File != "" && k.Package != "" {
			v.at(key+".file", k.File, fmt.Sprintf("the kernel is the package %s already", k.Package), "keep one of them")
		}
		if (k.Package == "none" || k.Package == "host") && len(v.d.Kernel) > 1 {
			v.at(key+".package", k.Package, k.Package+" stands alone", "remove the other kernels")
		}
	}
	if v.d.Init == "none" && len(v.d.Kernel) > 0 {
		v.at("kernel", "", "with init: none nothing is booted", "remove kernel or give the machine an init")
	}
}

// kernelKey is the dotted path of a kernel; a mapping stands for a list of one.
func (v *validator) kernelKey(i int) string {
	key := fmt.Sprintf("kernel.%d", i)
	if _, list := v.d.positions[key]; list {
		return key
	}
	return "kernel"
}

// loader checks that the loader is one for the firmware.
func (v *validator) loader() {
	b := v.d.Boot
	bios, uefi := v.d.Boots("bios"), v.d.Boots("uefi")
	if (b.Loader == "systemd-boot" || b.Loader == "uki") && !uefi {
		v.at("boot.loader", b.Loader, b.Loader+" starts under UEFI only, and boot.firmware has no uefi", "choose grub, or add uefi to boot.firmware")
	}
	if _, given := v.d.positions["boot.firmware"]; given && bios && v.d.Arch != "amd64" && v.d.Arch != "i386" {
		v.at("boot.firmware", "bios", v.d.Arch+" machines have no BIOS", "write [uefi]")
	}
	rate := ""
	for i, c := range b.Console {
		_, r, serial := strings.Cut(c, ",")
		if !serial {
			continue
		}
		if rate != "" && r != rate {
			v.at(fmt.Sprintf("boot.console.%d", i), c, fmt.Sprintf("serial consoles of two rates (%s and %s)", rate, r), "give them one rate: loader, kernel and login share it")
		}
		rate = r
	}
}

// disk checks that the layout can be made.
func (v *validator) disk() {
	if _, given := v.d.Set["disk"]; !given {
		return
	}
	if s := v.d.Disk.SectorSize; s != 0 && s != 512 && s != 4096 {
		v.at("disk.sector_size", "", fmt.Sprintf("%d is no sector size", s), "write 512 or 4096")
	}
	v.uses()
	v.table()
	v.partitions()
	v.blobs()
}

// uses checks how often each use occurs.
func (v *validator) uses() {
	l := v.d.Layout()
	seen := map[string]int{}
	grows := -1
	for i, p := range v.d.Disk.Partitions {
		key := fmt.Sprintf("disk.partitions.%d", i)
		if first, twice := seen[p.Use]; twice && p.Use != "data" && p.Use != "raw" && p.Use != "swap" {
			v.at(key+".use", p.Use, fmt.Sprintf("partition %d is %s as well", first, p.Use), "there can be one")
		} else if !twice {
			seen[p.Use] = i
		}
		if p.Grow && grows >= 0 {
			v.at(key+".grow", "", fmt.Sprintf("partition %d grows as well", grows), "only one can take what is left")
		}
		if p.Grow {
			grows = i
		}
	}
	if _, ok := l.RootPartition(); !ok {
		v.at("disk.partitions", "", "no partition is the root", "add {use: root, grow: true}")
	}
	if grows >= 0 && grows != len(v.d.Disk.Partitions)-1 {
		v.at(fmt.Sprintf("disk.partitions.%d.grow", grows), "", "the partition that grows must be the last one", "move it to the end")
	}
	if len(v.d.Disk.Partitions) > 0 && v.d.Disk.Table != "none" {
		v.firmwareParts(seen)
	}
	if _, ok := seen["state"]; ok && len(v.d.State) == 0 {
		v.at(fmt.Sprintf("disk.partitions.%d.use", seen["state"]), "state", "there is no state to keep on it", "list folders in state, or make it a data partition")
	}
}

// firmwareParts checks that each firmware finds what it starts.
func (v *validator) firmwareParts(seen map[string]int) {
	gpt := v.d.Disk.Table == "" || v.d.Disk.Table == "gpt" || v.d.Disk.Table == "hybrid"
	_, firmware := v.d.positions["boot.firmware"]
	if _, ok := seen["esp"]; !ok && firmware && v.d.Boots("uefi") && v.d.Loader("uefi") != "none" && v.d.Loader("uefi") != "extlinux" {
		v.at("disk.partitions", "", "boot.firmware has uefi, and no partition is the ESP", "add {use: esp}, or take uefi out of boot.firmware")
	}
	if _, ok := seen["bios"]; !ok && gpt && firmware && v.d.Boots("bios") && v.d.Loader("bios") == "grub" {
		v.at("disk.partitions", "", "boot.firmware has bios, and this table has no place for its loader", "add {use: bios}, or table: msdos, or take bios out of boot.firmware")
	}
	if i, ok := seen["bios"]; ok && !gpt {
		v.at(fmt.Sprintf("disk.partitions.%d.use", i), "bios", "an msdos table keeps the loader before its first partition", "remove it")
	}
}

// table checks what the partition table can hold.
func (v *validator) table() {
	d := v.d.Disk
	switch {
	case d.Table == "none" && (len(d.Partitions) > 1 || len(d.Partitions) == 1 && d.Partitions[0].Use != "root"):
		v.at("disk.partitions", "", "without a table the disk is one file system, the root", "keep the root alone, or choose table: gpt")
	case d.Table == "none" && len(d.Blobs) > 0:
		v.at("disk.blobs", "", "without a table the file system begins at the start of the disk", "choose table: msdos")
	case d.Table == "msdos" && len(d.Partitions) > 4:
		v.at("disk.partitions.4", "", "an msdos table has four partitions", "choose table: gpt")
	}
	if _, firmware := v.d.positions["boot.firmware"]; firmware && d.Table == "none" && v.d.Boots("bios") && v.d.Loader("bios") == "grub" {
		v.at("disk.table", "none", "a BIOS starts nothing from a disk without a table", "choose table: gpt or msdos, or boot.loader: none")
	}
}

// partitions checks each one alone.
func (v *validator) partitions() {
	var sum Size
	for i, p := range v.d.Disk.Partitions {
		key := fmt.Sprintf("disk.partitions.%d", i)
		sum += p.Size
		v.partition(key, p)
	}
	if total := v.d.Disk.Size; total != 0 && sum >= total {
		v.at("disk.size", total.String(), fmt.Sprintf("the partitions need %s and room for the table", sum), "make the disk larger or a partition smaller")
	}
}

func (v *validator) partition(key string, p Partition) {
	switch {
	case p.Use == "esp" && p.Filesystem != "" && p.Filesystem != "vfat":
		v.at(key+".filesystem", p.Filesystem, "firmware reads an ESP only as vfat", "remove filesystem")
	case slices.Contains([]string{"swap", "bios", "raw"}, p.Use) && p.Filesystem != "":
		v.at(key+".filesystem", p.Filesystem, p.Use+" has no file system", "remove it")
	case p.Filesystem == "vfat" && p.Use == "root":
		v.at(key+".filesystem", p.Filesystem, "vfat holds neither owners nor modes", "choose ext4, xfs, btrfs, squashfs or erofs")
	}
	if p.Use == "esp" && p.Size != 0 && p.Size < 33<<20 {
		v.at(key+".size", p.Size.String(), "an ESP below 33M is no FAT32, and kernels do not fit", "128M holds two kernels")
	}
	if p.Use == "data" && p.Mount == "" {
		v.at(key, "", key+" says not where it is mounted", "add mount: /srv, for example")
	}
	if slices.Contains([]string{"data", "swap", "state"}, p.Use) && p.Size == 0 && !p.Grow {
		v.at(key, "", key+" is empty when it is made: it needs a size", "add size, or grow: true")
	}
	if (p.From != nil) != (p.Use == "raw") {
		v.at(key, "", key+": from and use: raw belong together", "")
	}
	if len(p.Subvolumes) > 0 && p.Filesystem != "btrfs" {
		v.at(key+".subvolumes", "", "only btrfs has subvolumes", "add filesystem: btrfs")
	}
	for i, s := range p.Subvolumes {
		v.insidePath(fmt.Sprintf("%s.subvolumes.%d", key, i), s)
	}
	if p.Mount != "" {
		v.insidePath(key+".mount", p.Mount)
		if p.Use == "root" || path.Clean(p.Mount) == "/" {
			v.at(key+".mount", p.Mount, "the root is mounted at / by itself", "remove mount")
		}
	}
}

// rawFrom refuses sources that only the machine's disk can have elsewhere.
func (v *validator) rawFrom() {
	for i, f := range v.d.Files {
		if f.From != nil && f.From.Tree != "" {
			v.at(fmt.Sprintf("files.%d.from.tree", i), f.From.Tree, "a file of the machine is there already", "make a link with link, or copy it with run")
		}
	}
	if v.d.From != nil && v.d.From.Tree != "" {
		v.at("from.tree", v.d.From.Tree, "a stock image is no file of the machine", "name a file or a url")
	}
}

func (v *validator) blobs() {
	for i, b := range v.d.Disk.Blobs {
		if b.Offset == 0 && v.d.Disk.Table != "none" {
			if _, given := v.d.positions[fmt.Sprintf("disk.blobs.%d.offset", i)]; given {
				v.at(fmt.Sprintf("disk.blobs.%d.offset", i), "", "the partition table is there", "boards load from behind it; choose the offset that the board's manual names")
			}
		}
	}
}

// virtual checks the hardware of a virtual machine.
func (v *validator) virtual() {
	slots, macs := map[string]string{}, map[string]string{}
	slot := func(key, s string) {
		if other, twice := slots[s]; s != "" && twice {
			v.at(key, s, "the PCI slot is taken by "+other, "")
		}
		slots[s] = key
	}
	for i, n := range v.d.VM.NICs {
		key := fmt.Sprintf("vm.nics.%d", i)
		slot(key+".slot", n.Slot)
		mac := strings.ToLower(n.MAC)
		if other, twice := macs[mac]; mac != "" && twice {
			v.at(key+".mac", n.MAC, "the address belongs to "+other+" as well", "")
		}
		macs[mac] = key
		if first := mac; len(first) > 1 && strings.ContainsAny(first[1:2], "13579bdf") {
			v.at(key+".mac", n.MAC, "a network card cannot have a group address", "begin it with 52:54:00")
		}
	}
	for i, d := range v.d.VM.Disks {
		slot(fmt.Sprintf("vm.disks.%d.slot", i), d.Slot)
	}
}

// shares checks folders of the host that the machine shows.
func (v *validator) shares() {
	for i, s := range v.d.Shares {
		key := fmt.Sprintf("shares.%d", i)
		v.insidePath(key+".path", s.Path)
		if s.Path != "" && path.Clean(s.Path) == "/" {
			v.at(key+".path", s.Path, "a share cannot cover the whole machine", "name a folder inside")
		}
		for j, o := range v.d.Shares[:i] {
			if s.Path != "" && path.Clean(s.Path) == path.Clean(o.Path) {
				v.at(key+".path", s.Path, fmt.Sprintf("entry %d is mounted there as well", j), "")
			}
		}
	}
}
