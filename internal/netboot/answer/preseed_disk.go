package answer

import (
	"fmt"
	"strings"

	"slipway/internal/machine"
)

// partman lays out the disk that disk.sh has found, and no other.
func (p *pre) partman() {
	table := p.d.Layout().Table
	p.say("partman/early_command", "string", fetchAndRun(p.f, "disk.sh"))
	p.say("partman-auto/method", "string", "regular")
	p.say("partman-partitioning/default_label", "string", table)
	p.say("partman-partitioning/choose_label", "select", table)
	p.say("partman-auto/expert_recipe", "string", p.recipe())
	p.say("partman-auto/choose_recipe", "select", "slipway")
	for _, q := range []string{"partman-partitioning/confirm_write_new_label", "partman/confirm", "partman/confirm_nooverwrite"} {
		p.say(q, "boolean", "true")
	}
	p.say("partman/choose_partition", "select", "finish")
	p.say("partman/mount_style", "select", "uuid")
	p.say("partman-basicfilesystems/no_swap", "boolean", "false")
	p.say("partman-efi/non_efi_system", "boolean", "true")
	p.say("partman-auto/cap-ram", "string", "0")
}

// recipe is partman-auto's description of the partitions: for each its least
// size, the weight by which it grows, and its largest size, all in MB, then the
// file system and what is done with it.
func (p *pre) recipe() string {
	parts := []string{"slipway ::"}
	l := p.d.Layout()
	for i, part := range l.Partitions {
		key := fmt.Sprintf("disk.partitions.%d", i)
		parts = append(parts, p.recipeLine(key, l.Table, part))
	}
	return strings.Join(parts, " ")
}

// megabytes are partman's; a partition is never smaller than asked for.
func megabytes(s machine.Size) int64 { return (int64(s) + 999_999) / 1_000_000 }

func (p *pre) recipeLine(key, table string, part machine.Partition) string {
	size := megabytes(part.Size)
	mount, fs, extra := part.Mount, part.Filesystem, ""
	switch part.Use {
	case "esp":
		return fmt.Sprintf("%d %d %d fat32 $iflabel{ gpt } method{ efi } format{ } .", size, size, size)
	case "bios":
		return "1 1 1 free $iflabel{ gpt } method{ biosgrub } ."
	case "swap":
		return fmt.Sprintf("%d %d %s linux-swap $primary{ } method{ swap } format{ } .", size, weight(size, part.Grow), most(size, part.Grow))
	case "boot":
		size = orSize(size, 1000)
	case "root":
		mount, size = "/", orSize(size, 2500)
	}
	if fs == "vfat" {
		fs = "fat32"
	}
	if table == "msdos" && (part.Use == "boot" || part.Use == "root" && !p.hasBoot()) {
		extra = " $bootable{ }"
	}
	line := fmt.Sprintf("%d %d %s %s $primary{ }%s method{ format } format{ } use_filesystem{ } filesystem{ %s } mountpoint{ %s }",
		size, weight(size, part.Grow), most(size, part.Grow), fs, extra, fs, mount)
	if _, given := p.given(key + ".label"); given {
		line += fmt.Sprintf(" label{ %s }", part.Label)
	}
	if _, given := p.given(key + ".name"); given {
		p.unable(key+".name", "remove it: the label names the file system")
	}
	for _, o := range strings.Split(part.Options, ",") {
		if o != "" && o != "defaults" {
			line += fmt.Sprintf(" options/%s{ %s }", o, o)
		}
	}
	return line + " ."
}

func (p *pre) hasBoot() bool {
	_, ok := p.d.Layout().Partition("boot")
	return ok
}

// weight is how much of the free space a partition wants.
func weight(size int64, grow bool) int64 {
	if grow {
		return size + 100_000
	}
	return size
}

func most(size int64, grow bool) string {
	if grow {
		return "-1"
	}
	return fmt.Sprint(size)
}
