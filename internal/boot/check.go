package boot

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/bootfiles/entries"
	"slipway/internal/bootfiles/firmware"
	"slipway/internal/bootfiles/modules"
	"slipway/internal/tree"
)

// check looks at what was made with other eyes: it reads the configuration of
// loaders back, looks for each file that it names, and into the initramfs. All
// that is wrong is said at once.
func (a *assembly) check(context.Context) error {
	var all []error
	esp := a.esp.over(&tree.Manifest{})
	for _, name := range sortedKeys(a.esp.entries) {
		if strings.HasPrefix(name, "loader/entries/") {
			all = append(all, a.named(name, esp, "", []entries.Named{entries.ReadEntry(a.text(a.esp, name))}))
		}
	}
	all = append(all, a.checkMenus(esp)...)
	for i := range a.kernels {
		k := &a.kernels[i]
		all = append(all, a.checkModules(k), a.checkFirmware(k), a.checkConsoles(k))
	}
	return errors.Join(all...)
}

// checkMenus reads the menus of GRUB and u-boot, which lie where their kernels
// do.
func (a *assembly) checkMenus(esp *tree.Manifest) (all []error) {
	m, prefix, from := a.whole, "", a.root
	switch a.menu.Place {
	case entries.InESP:
		m, from = esp, a.esp
	case entries.InBoot:
		prefix = "boot"
	}
	dir := "boot/"
	if from == a.esp {
		dir = ""
	}
	if text := a.text(from, dir+"grub/grub.cfg"); text != "" {
		all = append(all, a.named("grub.cfg", m, prefix, entries.ReadGRUB(text)))
		if a.result.BIOS != nil {
			all = append(all, a.checkGRUBModules(m, dir+"grub/i386-pc"))
		}
	}
	if text := a.text(from, dir+"extlinux/extlinux.conf"); text != "" {
		all = append(all, a.named("extlinux.conf", m, prefix, entries.ReadExtlinux(text)))
	}
	return all
}

func (a *assembly) text(o *overlay, name string) string {
	e, ok := o.entries[name]
	if !ok {
		return ""
	}
	return string(o.content[e.Digest])
}

// named looks for the files of a loader's entries in a tree.
func (a *assembly) named(config string, m *tree.Manifest, prefix string, list []entries.Named) error {
	if len(list) == 0 {
		return fmt.Errorf("%s has no entry", config)
	}
	files := NewFS(m, nil)
	var all []error
	for _, n := range list {
		if len(n.Files) == 0 {
			all = append(all, fmt.Errorf("%s: the entry %q names no kernel", config, n.Title))
		}
		for _, f := range n.Files {
			if e := files.Resolve(path.Join(prefix, strings.TrimPrefix(f, "/"))); e == nil || e.Type != tree.File {
				all = append(all, fmt.Errorf("%s: the entry %q names %s, which is not there", config, n.Title, f))
			}
		}
		for _, f := range n.Dirs {
			if e := files.Resolve(path.Join(prefix, strings.TrimPrefix(f, "/"))); e == nil || e.Type != tree.Dir {
				all = append(all, fmt.Errorf("%s: the entry %q names the folder %s, which is not there", config, n.Title, f))
			}
		}
	}
	return errors.Join(all...)
}

// grubReads is GRUB's module for a file system.
var grubReads = map[string]string{"ext4": "ext2", "btrfs": "btrfs", "xfs": "xfs", "vfat": "fat"}

func (a *assembly) checkGRUBModules(m *tree.Manifest, dir string) error {
	use := map[string]string{entries.InBoot: "boot", entries.InESP: "esp"}[a.menu.Place]
	if use == "" {
		use = "root"
	}
	p, _ := a.partition(use)
	module := grubReads[p.Filesystem]
	if module == "" {
		return fmt.Errorf("GRUB cannot read its menu and kernels from %s: add a partition with use: boot to disk.partitions", p.Filesystem)
	}
	for _, name := range []string{module, "normal", "linux"} {
		if !slices.Contains(grubModules, name) || m.Lookup(dir+"/"+name+".mod") == nil {
			return fmt.Errorf("GRUB's module %s.mod is not in /%s", name, dir)
		}
	}
	return nil
}

// checkModules makes sure that a kernel can mount its root.
func (a *assembly) checkModules(k *booted) error {
	p, ok := a.partition("root")
	if !ok || k.host != nil {
		return nil // the host's own business, or a kernel of which nothing is known
	}
	t, err := modules.Open(a.fs, k.Version)
	if err != nil {
		if k.Modules == "" && k.initrd == nil {
			return nil // nothing to compare with
		}
		return err
	}
	var names map[string]bool
	if k.initrd != nil {
		r, err := k.initrd.open(a.Content)
		if err != nil {
			return err
		}
		defer r.Close()
		if names, err = archived(r); err != nil {
			return fmt.Errorf("looking into the initramfs of kernel %s: %w", k.Version, err)
		}
	}
	for _, m := range append(a.rootModules("disk"), a.initramfsModules(k)...) {
		if name := modules.Name(m); !t.Builtin(name) && !names[name] {
			return a.cannotMount(k, p, name)
		}
	}
	return nil
}

// initramfsModules are those that the definition wants in our initramfs.
func (a *assembly) initramfsModules(k *booted) []string {
	if i := a.Definition.Boot.Initramfs; i == "distro" || i == "none" {
		return nil
	}
	return k.key.Modules
}

func (a *assembly) cannotMount(k *booted, p Partition, module string) error {
	if k.initrd == nil {
		return fmt.Errorf("kernel %s has %s as a module, and without an initramfs nothing loads it for the root (%s): leave boot.initramfs away", k.Version, module, p.Filesystem)
	}
	return fmt.Errorf("the initramfs of kernel %s has no module %s, which the root (%s) needs: leave boot.initramfs away, or make the distribution's hold it", k.Version, module, p.Filesystem)
}

// checkFirmware looks for the firmware of the drivers that the definition
// names. Which of several files a device wants only the hardware knows, so one
// that is there makes the others a warning.
func (a *assembly) checkFirmware(k *booted) error {
	if k.host != nil || len(k.key.Modules) == 0 {
		return nil
	}
	t, err := modules.Open(a.fs, k.Version)
	if err != nil {
		return err
	}
	demands, err := firmware.Demands(a.fs, t, k.key.Modules, decompress)
	if err != nil {
		return err
	}
	var all []error
	for _, d := range demands {
		list := strings.Join(d.Missing[:min(3, len(d.Missing))], ", ")
		switch {
		case len(d.Missing) == 0:
		case len(d.Found) == 0:
			all = append(all, fmt.Errorf("the driver %s (kernel.modules) asks for firmware that the machine has not (%s): "+
				"add the package that brings it to packages, or leave the driver away", d.Module, list))
		default:
			a.warn("the driver %s may ask for firmware that the machine has not: %s (%d of %d files)", d.Module, list, len(d.Missing), len(d.Missing)+len(d.Found))
		}
	}
	return errors.Join(all...)
}

// checkConsoles refuses two rates for one line: only one of them would be read.
func (a *assembly) checkConsoles(k *booted) error {
	rate := map[string]int{}
	for _, c := range entries.Consoles(k.cmdline) {
		if old, ok := rate[c.Device]; ok && old != c.Speed {
			return fmt.Errorf("the console %s has two rates, %d and %d: name it in boot.console alone, not in kernel.cmdline", c.Device, old, c.Speed)
		}
		rate[c.Device] = c.Speed
	}
	return nil
}
