package boot

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"slipway/internal/bootfiles/entries"
	"slipway/internal/bootfiles/uki"
	"slipway/internal/tree"
)

// efiSuffix is how UEFI names an architecture (UEFI Specification, 3.5.1.1).
var efiSuffix = map[string]string{"amd64": "x64", "i386": "ia32", "arm64": "aa64", "armhf": "arm", "riscv64": "riscv64"}

// removable is where firmware looks when it knows nothing of a disk.
var removable = map[string]string{"amd64": "BOOTX64", "i386": "BOOTIA32", "arm64": "BOOTAA64", "armhf": "BOOTARM", "riscv64": "BOOTRISCV64"}

func (a *assembly) removable() string { return "EFI/BOOT/" + removable[a.Definition.Arch] + ".EFI" }

// addLoaders places what each firmware needs.
func (a *assembly) addLoaders(ctx context.Context) error {
	if len(a.kernels) == 0 {
		return nil
	}
	if err := a.makeMenu(); err != nil {
		return err
	}
	if len(a.menu.Kernels) == 0 {
		if a.Table != "none" && a.Definition.Boot.Loader != "none" {
			a.warn("the disk has no loader: its only kernel is the host's, which a virtual machine is started with directly")
		}
		return nil
	}
	loaders, err := a.loaders()
	if err != nil {
		return err
	}
	a.used = loaders
	for _, firmware := range sortedKeys(loaders) {
		if err := a.addLoader(ctx, firmware, loaders[firmware]); err != nil {
			return fmt.Errorf("the loader %s for %s: %w", loaders[firmware], firmware, err)
		}
	}
	return nil
}

// loaders chooses one for each firmware. What the disk has no place for is an
// error if the definition asks for it, and left out if only the defaults do.
func (a *assembly) loaders() (map[string]string, error) {
	out := map[string]string{}
	asked := len(a.Definition.Boot.Firmware) > 0
	for _, firmware := range a.Definition.Firmwares() {
		loader := a.Definition.Loader(firmware)
		if loader == "none" {
			continue
		}
		why := a.unplaceable(firmware, loader)
		switch {
		case why == nil:
			out[firmware] = loader
		case asked:
			return nil, why
		}
	}
	if len(out) == 0 && a.Definition.Boot.Loader != "none" && a.Table != "none" {
		a.warn("the disk boots under no firmware: %v", a.unplaceable(a.Definition.Firmwares()[0], a.Definition.Loader(a.Definition.Firmwares()[0])))
	}
	return out, nil
}

// unplaceable says why the disk has no room for a loader; nil if it has.
func (a *assembly) unplaceable(firmware, loader string) error {
	_, esp := a.partition("esp")
	_, bios := a.partition("bios")
	switch {
	case loader == "extlinux":
		return nil
	case a.Table == "none":
		return fmt.Errorf("a disk without partition table has no place for a loader: set disk.table, or boot.loader: none")
	case firmware == "uefi" && !esp:
		return fmt.Errorf("UEFI needs an EFI system partition: add one with use: esp to disk.partitions")
	case firmware == "bios" && a.Sector > 512:
		return fmt.Errorf("no BIOS boots a disk with sectors of %d bytes: set boot.firmware: [uefi], or disk.sector_size: 512", a.Sector)
	case firmware == "bios" && a.Table != "msdos" && !bios:
		return fmt.Errorf("GRUB for BIOS needs a place of its own on a GPT: add a partition with use: bios, or set disk.table: msdos")
	}
	return nil
}

func (a *assembly) addLoader(ctx context.Context, firmware, loader string) error {
	switch {
	case loader == "systemd-boot":
		return a.addSystemdBoot(ctx)
	case loader == "uki":
		return a.addUKIs(ctx)
	case loader == "grub" && firmware == "bios":
		return a.addGRUB(ctx)
	case loader == "grub":
		return a.addGRUBEFI(ctx)
	case loader == "extlinux":
		a.placeMenu()
		a.findDeviceTrees()
		a.addFiles([]entries.File{a.menu.Extlinux()})
		return nil
	}
	return fmt.Errorf("there is no such loader for this firmware")
}

func (a *assembly) addFiles(files []entries.File) {
	for _, f := range files {
		if f.ESP {
			a.esp.file(f.Path, 0o644, f.Data)
		} else {
			a.root.file(f.Path, 0o644, f.Data)
		}
	}
}

// addSystemdBoot copies the loader to both its places, and kernels beside it.
func (a *assembly) addSystemdBoot(ctx context.Context) error {
	if err := a.addManager(ctx); err != nil {
		return err
	}
	a.kernelsToESP()
	a.addFiles(a.menu.SystemdBoot())
	return nil
}

// addManager places systemd-boot where it expects itself, and where firmware
// finds it.
func (a *assembly) addManager(ctx context.Context) error {
	name := "systemd-boot" + efiSuffix[a.Definition.Arch] + ".efi"
	loader, err := a.systemdFile(ctx, name)
	if err != nil {
		return err
	}
	loader.addTo(a.esp, "EFI/systemd/"+name)
	loader.addTo(a.esp, a.removable())
	return nil
}

func (a *assembly) kernelsToESP() {
	for i := range a.kernels {
		k := &a.kernels[i]
		if k.key.Package == "host" {
			continue
		}
		k.image.addTo(a.esp, a.menu.ESPImage(k.Version))
		if k.initrd != nil {
			k.initrd.addTo(a.esp, a.menu.ESPInitrd(k.Version))
		}
	}
}

// addUKIs makes a unified image of each kernel, below systemd-boot.
func (a *assembly) addUKIs(ctx context.Context) error {
	stub, err := a.systemdFile(ctx, "linux"+efiSuffix[a.Definition.Arch]+".efi.stub")
	if err != nil {
		return err
	}
	for i := range a.kernels {
		k := &a.kernels[i]
		if k.key.Package == "host" {
			continue
		}
		image, err := a.unified(k, stub)
		if err != nil {
			return err
		}
		a.esp.file(a.menu.UKI(k.Version), 0o644, image)
	}
	files, err := a.menu.Files("uki")
	if err != nil {
		return err
	}
	a.addFiles(files)
	return a.addManager(ctx)
}

func (a *assembly) unified(k *booted, stub *blob) ([]byte, error) {
	code, err := stub.bytes(a.Content)
	if err != nil {
		return nil, err
	}
	m := uki.Image{Stub: code, OSRelease: a.osRelease(), Cmdline: k.cmdline, Uname: k.Version, Kernel: k.image.part(a.Content)}
	if k.initrd != nil {
		m.Initrd = k.initrd.part(a.Content)
	}
	var out bytes.Buffer
	err = m.Write(&out)
	return out.Bytes(), err
}

func (b *blob) part(c tree.Content) uki.Part { return uki.Part{Size: b.size(), Open: b.opener(c)} }

// systemdFile finds a file of the package systemd-boot-efi: in the machine,
// else among the tools.
func (a *assembly) systemdFile(ctx context.Context, name string) (*blob, error) {
	full := "usr/lib/systemd/boot/efi/" + name
	if e := a.fs.Resolve(full); e != nil && e.Type == tree.File {
		return &blob{entry: e}, nil
	}
	missing := fmt.Errorf("the machine has no /%s: add the package systemd-boot-efi, or choose another loader with boot.loader", full)
	if a.Tools == nil {
		return nil, missing
	}
	found, err := a.Tools.Path(ctx, "systemd-boot", full)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", missing, err)
	}
	data, err := os.ReadFile(found)
	if err != nil {
		return nil, err
	}
	return &blob{data: data}, nil
}

// placeMenu decides where GRUB and u-boot find kernels. They read the usual
// file systems, but no image that is written once.
func (a *assembly) placeMenu() {
	if a.Stick != nil {
		esp, _ := a.partition("esp")
		a.menu.Place, a.menu.UUID = entries.InESP, esp.UUID
		return
	}
	if p, ok := a.partition("boot"); ok {
		a.menu.Place, a.menu.UUID = entries.InBoot, p.UUID
		return
	}
	root, _ := a.partition("root")
	if esp, ok := a.partition("esp"); ok && slices.Contains(imageRoots, root.Filesystem) {
		a.menu.Place, a.menu.UUID = entries.InESP, esp.UUID
		a.kernelsToESP()
		return
	}
	a.menu.Place, a.menu.UUID = entries.InRoot, root.UUID
}

// findDeviceTrees looks where distributions keep them, and where u-boot can
// read them.
func (a *assembly) findDeviceTrees() {
	places := []struct{ dir, seen string }{{"boot/dtbs-VERSION", "/dtbs-VERSION"}}
	if a.menu.Place == entries.InRoot {
		places = []struct{ dir, seen string }{
			{"boot/dtbs-VERSION", "/boot/dtbs-VERSION"}, {"boot/dtbs/VERSION", "/boot/dtbs/VERSION"}, {"usr/lib/linux-image-VERSION", "/usr/lib/linux-image-VERSION"},
		}
	}
	for _, p := range places {
		all := true
		for _, k := range a.menu.Kernels {
			e := a.fs.Resolve(strings.ReplaceAll(p.dir, "VERSION", k.Version))
			all = all && e != nil && e.Type == tree.Dir
		}
		if all {
			a.menu.FDTDir = p.seen
			return
		}
	}
}
