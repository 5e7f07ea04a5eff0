package export

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"slipway/internal/boot"
	"slipway/internal/build"
	"slipway/internal/machine"
)

// Libvirt writes a machine for libvirt: its disk, kernel, initramfs and
// domain.
func Libvirt(ctx context.Context, b *build.Builder, d *machine.Definition, opt Options) (*Result, error) {
	d = withShares(d)
	w, err := newWork(b, d, opt)
	if err == nil {
		err = w.checkFirmware()
	}
	if err != nil {
		return nil, err
	}
	g := &Guest{Definition: d, Emulate: opt.Emulate}
	if opt.Firmware != "kernel" {
		g.Firmware = opt.Firmware
	}
	if err := w.refuse(g); err != nil {
		return nil, err
	}
	r, err := w.build(ctx)
	if err != nil {
		return nil, err
	}
	booted, err := w.files(ctx, r, g)
	if err != nil {
		return nil, err
	}
	g.Cmdline = booted.Cmdline
	text, err := Domain(g)
	if err != nil {
		return nil, err
	}
	path, err := w.text(d.Name+".xml", text)
	w.out.Commands = []string{"virsh define " + shellWord(path)}
	if d.VM.Autostart {
		w.out.Commands = append(w.out.Commands, "virsh autostart "+d.Name)
	}
	w.out.Commands = append(w.out.Commands, "virsh start "+d.Name)
	return &w.out, err
}

// files writes the disks, and the kernel where no loader starts it.
func (w *work) files(ctx context.Context, r *build.Result, g *Guest) (booted *boot.Result, err error) {
	if g.Disk, booted, err = w.writeDisk(ctx, r, w.opt.Format); err != nil {
		return nil, err
	}
	if g.Extra, err = w.extraDisks(ctx); err != nil || g.Firmware != "" {
		return booted, err
	}
	root := w.opt.HostRoot
	if root == "" {
		root = "/"
	}
	if g.Kernel, g.Initrd, err = outside(w.d.Kernels()[0], root); err != nil {
		return nil, err
	}
	if g.Kernel == "" {
		if g.Kernel, err = w.payload(ctx, "vmlinuz", booted.Kernel); err != nil {
			return nil, err
		}
	}
	if g.Initrd == "" {
		g.Initrd, err = w.payload(ctx, "initrd", booted.Initrd)
	}
	return booted, err
}

// withShares is a definition whose shares are in its fstab.
func withShares(d *machine.Definition) *machine.Definition {
	if len(d.Shares) == 0 {
		return d
	}
	copied := *d
	copied.Mounts = append(append([]machine.Mount{}, d.Mounts...), shareMounts(d.Shares)...)
	return &copied
}

// checkFirmware refuses a way of starting that the disk has not.
func (w *work) checkFirmware() error {
	switch fw := w.opt.Firmware; {
	case fw == "kernel":
		return nil
	case fw != "uefi" && fw != "bios":
		return fmt.Errorf("firmware %q: want kernel, uefi or bios", fw)
	case !w.d.Boots(fw) || w.d.NoDisk():
		return fmt.Errorf("%s: the disk of this machine does not boot under %s; add it to boot.firmware, or let its kernel be started directly", w.d.At("boot"), strings.ToUpper(fw))
	}
	return nil
}

// refuse finds what libvirt cannot have before anything is built.
func (w *work) refuse(g *Guest) error {
	trial := *g
	trial.Disk = File{Path: filepath.Join(w.opt.Dir, w.d.Name), Format: w.opt.Format}
	trial.Extra = make([]File, len(w.d.VM.Disks))
	_, err := Domain(&trial)
	return err
}

// shellWord quotes a word for a POSIX shell.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._=+:,@-", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
