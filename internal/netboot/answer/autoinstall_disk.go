package answer

import (
	"fmt"
	"strings"

	"slipway/internal/machine"
)

// curtin is the storage section: actions on the one disk.
func (r *refusals) curtin(f Facts) map[string]any {
	match := r.matchDisk(f)
	l := r.d.Layout()
	disk := map[string]any{"type": "disk", "id": "disk", "match": match, "ptable": l.Table, "wipe": "superblock-recursive", "preserve": false}
	if r.d.Boots("bios") {
		disk["grub_device"] = true
	}
	actions := []any{disk}
	for i, p := range l.Partitions {
		actions = append(actions, r.curtinPart(i, len(l.Partitions), p)...)
	}
	return map[string]any{"version": 1, "config": actions, "swap": map[string]int{"size": 0}}
}

// matchDisk is a disk in udev's words, by which Subiquity knows it.
func (r *refusals) matchDisk(f Facts) map[string]string {
	if serial, ok := strings.CutPrefix(f.Disk, "serial:"); ok {
		return map[string]string{"serial": "*" + serial}
	}
	if path, ok := strings.CutPrefix(f.Disk, "/dev/disk/by-path/"); ok {
		return map[string]string{"id_path": path}
	}
	if id, ok := strings.CutPrefix(f.Disk, "/dev/disk/by-id/"); ok {
		_, serial, _ := strings.Cut(id, "-")
		return map[string]string{"serial": serial}
	}
	r.at("netboot.disk", f.Disk, "Subiquity would choose a disk by itself where none is named", "name one: serial:NUMBER, or a path below /dev/disk/by-id or by-path")
	return nil
}

func (r *refusals) curtinPart(i, n int, p machine.Partition) []any {
	key := fmt.Sprintf("disk.partitions.%d", i)
	id := fmt.Sprintf("part%d", i)
	size := any(mib(p.Size) << 20)
	if p.Grow {
		size = -1
		if i != n-1 {
			r.at(key+".grow", "", "the partition that grows is the last one", "move it to the end")
		}
	} else if p.Size == 0 {
		size = orSize(0, map[string]int64{"boot": 1024, "root": 8192}[p.Use]) << 20
	}
	part := map[string]any{"type": "partition", "id": id, "device": "disk", "number": i + 1, "size": size, "preserve": false, "wipe": "superblock"}
	if _, given := r.given(key + ".name"); given {
		part["partition_name"] = p.Name
	}
	fs, mount := p.Filesystem, p.Mount
	switch p.Use {
	case "esp":
		part["flag"], part["grub_device"], fs, mount = "boot", true, "fat32", "/boot/efi"
	case "bios":
		part["flag"] = "bios_grub"
		return []any{part}
	case "swap":
		part["flag"], fs = "swap", "swap"
	case "root":
		mount = "/"
	}
	if fs == "vfat" {
		fs = "fat32"
	}
	format := map[string]any{"type": "format", "id": id + "-fs", "volume": id, "fstype": fs, "preserve": false}
	if _, given := r.given(key + ".label"); given {
		format["label"] = p.Label
	}
	out := []any{part, format}
	if mount != "" || fs == "swap" {
		m := map[string]any{"type": "mount", "id": id + "-mount", "device": id + "-fs", "path": mount}
		if p.Options != "" {
			m["options"] = p.Options
		}
		out = append(out, m)
	}
	return out
}
