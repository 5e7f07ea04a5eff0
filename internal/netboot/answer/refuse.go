package answer

import (
	"fmt"
	"slices"

	"slipway/internal/machine"
)

// refusals collects what a format cannot say.
type refusals struct {
	d        *machine.Definition
	format   string // in words
	problems machine.Problems
}

// at adds a problem of the value with a dotted path.
func (r *refusals) at(key, text, why, hint string) {
	r.problems = append(r.problems, machine.Problem{Pos: r.d.At(key), Key: key, Text: text, Message: key + ": " + why, Hint: hint})
}

// unable says that the format has no word for a key.
func (r *refusals) unable(key, hint string) {
	r.at(key, "", fmt.Sprintf("%s cannot say this", r.format), hint)
}

// neutral are keys that say nothing about what an installer does: the file
// itself, how the machine is run and proved elsewhere, and where packages are
// fetched from.
var neutral = []string{
	"slipway", "name", "system", "arch", "include", "replace", "when", "netboot", "vm", "container", "ports", "outside",
	"restart", "probes", "mirror",
}

// keys refuses every key that is given and neither neutral nor known.
func (r *refusals) keys(known ...string) {
	var given []string
	for key := range r.d.Set {
		given = append(given, key)
	}
	slices.Sort(given)
	for _, key := range given {
		if !slices.Contains(neutral, key) && !slices.Contains(known, key) {
			r.unable(key, elsewhere[key])
		}
	}
}

// elsewhere are hints for keys that no installer knows.
var elsewhere = map[string]string{
	"slim":     "remove it, or install slipway's own image instead (netboot.mode: install without installer)",
	"max_size": "remove it: an installed machine's size is not known before",
	"shares":   "only virtual machines and containers have shares; put it into a definition that includes this one",
	"state":    "installers know no state that survives; make a data partition for it in disk",
	"hooks":    "use run, whose commands run at the end of the installation",
	"from":     "a stock image is not installed",
	"sources":  "write it with files",

	"network_backend": "an installed system has its installer's own; choose it in slipway's image (netboot.mode: install without installer)",
	"resolver":        "name the name servers in network.dns",
	"time":            "list the service in packages, and write its configuration with files",
}

func (r *refusals) err() error { return r.problems.Err() }

// boot refuses what of kernel and boot an installer of the family cannot do.
func (r *refusals) boot() {
	for i, k := range r.d.Kernel {
		key := "kernel"
		if len(r.d.Kernel) > 1 {
			key = fmt.Sprintf("kernel.%d", i)
		}
		switch {
		case k.File != "" || k.Package == "host" || k.Package == "none":
			r.at(key, k.Package, "an installer installs a kernel of the distribution", "name a package, or leave it to auto")
		case i > 0:
			r.unable(key, "list further kernels in packages")
		}
	}
	if l := r.d.Boot.Loader; l != "" && l != "auto" && l != "grub" {
		r.at("boot.loader", l, r.format+" installs GRUB", "write auto or grub")
	}
	if i := r.d.Boot.Initramfs; i == "none" {
		r.at("boot.initramfs", i, "an installed distribution boots with its own initramfs", "remove it")
	}
	if i := r.d.InitSystem(); i != "systemd" && i != "openrc" {
		r.at("init", i, "an installer brings the distribution's own init", "write auto")
	}
}

// disk refuses layouts that no installer makes.
func (r *refusals) disk(filesystems ...string) {
	d := r.d.Disk
	if d.Table == "none" || d.Table == "hybrid" {
		r.at("disk.table", d.Table, r.format+" cannot make such a table", "write gpt or msdos")
	}
	if d.SectorSize == 4096 {
		r.at("disk.sector_size", "", "the sectors of a real disk are as they are", "remove it")
	}
	if len(d.Blobs) > 0 {
		r.unable("disk.blobs", "write them in run with dd")
	}
	for i, p := range d.Partitions {
		key := fmt.Sprintf("disk.partitions.%d", i)
		if p.Use == "raw" || p.Use == "state" {
			r.at(key+".use", p.Use, r.format+" has no such partition", elsewhere["state"])
		}
		if p.Filesystem != "" && !slices.Contains(filesystems, p.Filesystem) {
			r.at(key+".filesystem", p.Filesystem, r.format+" cannot make this file system", fmt.Sprintf("choose one of %v", filesystems))
		}
		if len(p.Subvolumes) > 0 {
			r.unable(key+".subvolumes", "make them in run")
		}
		if p.Type != "" {
			r.unable(key+".type", "remove it: the use decides")
		}
	}
}
