package answer

import (
	"fmt"
	"strings"

	"slipway/internal/machine"
)

// disks chooses the disk and lays it out. Only that disk is touched: all others
// are ignored, whatever they hold.
func (k *ks) disks() {
	disk := k.diskName()
	if disk == "" { // the script in %pre has found it
		k.line("%%include /tmp/slipway-disk")
	} else {
		for _, line := range diskLines(k.d, disk) {
			k.line("%s", line)
		}
	}
	k.line("bootloader%s", k.loader())
	for i, p := range k.d.Layout().Partitions {
		k.partition(i, p)
	}
}

// diskName is the disk in Anaconda's words, "" if a script must look for it.
func (k *ks) diskName() string {
	if strings.HasPrefix(k.f.Disk, "/dev/disk/") {
		return k.f.Disk
	}
	if name, device := strings.CutPrefix(k.f.Disk, "/dev/"); device {
		return name
	}
	return ""
}

// diskLines restrict the installation to one disk.
func diskLines(d *machine.Definition, disk string) []string {
	label := "--initlabel"
	if t := d.Layout().Table; t == "msdos" || t == "gpt" {
		label += " --disklabel=" + t
	}
	return []string{
		"ignoredisk --only-use=" + disk,
		"zerombr",
		"clearpart --all " + label + " --drives=" + disk,
	}
}

func (k *ks) loader() string {
	var words []string
	for _, c := range k.d.Boot.Console {
		words = append(words, "console="+c)
	}
	words = append(words, k.d.Kernels()[0].Cmdline...)
	out := ""
	if len(words) > 0 {
		out = " --append=" + dquote(strings.Join(words, " "))
	}
	if k.d.Boot.Timeout > 0 {
		out += fmt.Sprintf(" --timeout=%d", k.d.Boot.Timeout)
	}
	return out
}

// mib rounds up to MiB, the unit of kickstart and partman.
func mib(s machine.Size) int64 { return (int64(s) + 1<<20 - 1) >> 20 }

// partition is one statement part. Sizes that are left open are those of a
// small system.
func (k *ks) partition(i int, p machine.Partition) {
	key := fmt.Sprintf("disk.partitions.%d", i)
	mount, fs := p.Mount, p.Filesystem
	size := mib(p.Size)
	switch p.Use {
	case "esp":
		mount, fs = "/boot/efi", "efi"
		size = max(size, 200)
	case "bios":
		mount, fs, size = "biosboot", "biosboot", 1
	case "boot":
		size = orSize(size, 1024)
	case "root":
		mount = "/"
		size = orSize(size, 4096)
	case "swap":
		mount, fs = "swap", "swap"
	case "data":
	default:
		return // refused already
	}
	line := fmt.Sprintf("part %s --fstype=%s --size=%d", mount, quote(fs), size)
	if p.Grow {
		line += " --grow"
	}
	if p.Use == "esp" && p.Options == "" {
		line += ` --fsoptions="umask=0077,shortname=winnt"`
	} else if p.Options != "" && p.Use != "bios" && p.Use != "swap" {
		line += " --fsoptions=" + dquote(p.Options)
	}
	if _, given := k.given(key + ".label"); given {
		line += " --label=" + quote(p.Label)
	}
	if _, given := k.given(key + ".name"); given {
		k.unable(key+".name", "remove it: the label names the file system")
	}
	k.line("%s", line)
}

// given tells whether the definition has this very key.
func (r *refusals) given(key string) (machine.Position, bool) {
	at := r.d.At(key)
	parent := key[:max(0, strings.LastIndexByte(key, '.'))]
	return at, at != r.d.At(parent) && len(r.d.Disk.Partitions) > 0
}

func orSize(size, standard int64) int64 {
	if size == 0 {
		return standard
	}
	return size
}
