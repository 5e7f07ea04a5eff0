package boot

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"slipway/internal/bootfiles/modules"
	"slipway/internal/tree"
)

// Where a stick has its kernel and initramfs, as GRUB sees it.
const (
	stickKernel = "slipway/linux"
	stickInitrd = "slipway/initrd"
)

// makeStick fills the ESP of a stick: GRUB for UEFI and BIOS, a menu, kernel
// and initramfs.
func (a *assembly) makeStick(ctx context.Context) error {
	if root, modular := a.modulesOf(&a.kernels[0]); modular {
		if t, err := modules.Open(root, a.kernels[0].Version); err == nil && !t.Has("usb_storage") && !t.Builtin("usb_storage") {
			a.warn("the kernel %s has no driver for USB sticks: put the image on another kind of disk, or choose the full kernel (kernel: {package: auto})", a.kernels[0].Version)
		}
	}
	var base bytes.Buffer
	if err := a.result.Initrd.Write(ctx, &base); err != nil {
		return err
	}
	initrd, err := a.Stick.Wrap(base.Bytes())
	if err != nil {
		return err
	}
	kernel, err := a.kernels[0].image.bytes(a.Content)
	if err != nil {
		return err
	}
	a.esp.file(stickKernel, 0o644, kernel)
	a.esp.file(stickInitrd, 0o644, initrd)
	if err := a.addGRUB(ctx); err != nil {
		return err
	}
	if a.Definition.Arch == "amd64" {
		if err := a.addStickEFI(ctx); err != nil {
			return err
		}
	}
	a.esp.file("grub/grub.cfg", 0o644, []byte(a.stickMenu()))
	a.result.Trees = make([]*tree.Manifest, len(a.Partitions))
	i := slices.IndexFunc(a.Partitions, func(p Partition) bool { return p.Use == "esp" })
	a.result.Trees[i] = a.esp.over(&tree.Manifest{})
	return nil
}

// addStickEFI puts GRUB where firmware looks on any disk, and nowhere else: a
// stick leaves no entry behind.
func (a *assembly) addStickEFI(ctx context.Context) error {
	list, err := a.Tools.Path(ctx, "grub", "/usr/lib/grub/x86_64-efi/moddep.lst")
	if err != nil {
		return fmt.Errorf("looking for GRUB: %w", err)
	}
	core, err := a.grubImage(ctx, filepath.Dir(list), "x86_64-efi")
	if err != nil {
		return err
	}
	a.esp.file(a.removable(), 0o644, core)
	return a.addGRUBFiles(filepath.Dir(list), "x86_64-efi")
}

// stickMenu is GRUB's configuration. It shows on the screen and on the first
// serial port, if there is one.
func (a *assembly) stickMenu() string {
	var b strings.Builder
	b.WriteString("# Written by slipway.\nif serial --unit=0 --speed=115200; then\n\tterminal_input console serial\n\tterminal_output console serial\nfi\n")
	fmt.Fprintf(&b, "set default=0\nset timeout=%d\nsearch --no-floppy --fs-uuid --set=root %s\n", a.Stick.Timeout, a.menu.UUID)
	for _, e := range a.Stick.Entries {
		fmt.Fprintf(&b, "menuentry '%s' {\n\tlinux /%s", strings.ReplaceAll(e.Title, "'", ""), stickKernel)
		for _, w := range strings.Fields(e.Cmdline(a.result.Cmdline)) {
			fmt.Fprintf(&b, " '%s'", strings.ReplaceAll(w, "'", `'\''`))
		}
		fmt.Fprintf(&b, "\n\tinitrd /%s\n}\n", stickInitrd)
	}
	return b.String()
}
