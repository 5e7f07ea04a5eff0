package boot

import (
	"context"
	"slices"

	"slipway/internal/bootfiles"
	"slipway/internal/bootfiles/entries"
	"slipway/internal/bootfiles/hook"
	"slipway/internal/tree"
)

// initramfsHook is run by initramfs-tools after it made an initramfs, also
// when it does so without a new kernel.
const initramfsHook = "etc/initramfs/post-update.d/zz-slipway"

// addHook puts into the machine what keeps it bootable when kernels change. A
// machine without package manager gets none of it.
func (a *assembly) addHook(context.Context) error {
	if !a.managed() || len(a.menu.Kernels) == 0 {
		return nil
	}
	data, err := a.hookConfig().Encode()
	if err != nil {
		return err
	}
	a.root.file(bootfiles.HookPath, 0o644, data)
	a.root.file(bootfiles.HelperPath, 0o755, a.Helper)
	for _, s := range hook.Scripts() {
		a.root.file(s.Path, s.Mode, []byte(s.Data))
	}
	if c := a.hookConfig(); c.Initramfs == "" {
		a.silence()
	}
	a.root.file(initramfsHook, 0o755, []byte("#!/bin/sh\n# Brings a new initramfs to where the boot loader reads it.\nexec /"+bootfiles.HelperPath+" kernel-hook \"$1\"\n"))
	return nil
}

// makers are the hooks of programs that make an initramfs for a new kernel.
var makers = []string{"etc/kernel/postinst.d/initramfs-tools", "etc/kernel/postinst.d/dracut"}

// silence keeps them from a long work whose result ours replaces. They stay
// as dpkg knows them, but for the right to be executed, which run-parts wants
// and dpkg does not take back.
func (a *assembly) silence() {
	for _, name := range makers {
		if e := a.fs.Resolve(name); e != nil && e.Type == tree.File {
			a.root.copied(name, 0o644, e)
		}
	}
}

// managed tells whether the machine keeps dpkg, the one package manager that
// the hook knows.
func (a *assembly) managed() bool {
	program, records := a.fs.Resolve("usr/bin/dpkg"), a.fs.Resolve("var/lib/dpkg/status")
	return len(a.Helper) > 0 && program != nil && program.Type == tree.File && records != nil && records.Size > 0
}

// hookConfig tells the hook what this assembly did.
func (a *assembly) hookConfig() bootfiles.Config {
	d := a.Definition
	c := a.helperConfig("disk")
	c.Title, c.Machine, c.Cmdline = a.menu.Title, a.menu.Machine, a.menu.Kernels[0].Cmdline
	c.Modules = append(a.rootModules("disk"), d.Kernels()[0].Modules...)
	c.Timeout, c.Default, c.FDTDir = d.Boot.Timeout, a.menu.Default, a.menu.FDTDir
	c.Place, c.UUID = a.menu.Place, a.menu.UUID
	if i := d.Boot.Initramfs; i == "distro" || i == "none" {
		c.Initramfs = i
	}
	for _, loader := range a.used {
		if !slices.Contains(c.Loaders, loader) {
			c.Loaders = append(c.Loaders, loader)
		}
	}
	slices.Sort(c.Loaders)
	needsESP := slices.Contains(c.Loaders, "systemd-boot") || slices.Contains(c.Loaders, "uki") || c.Place == entries.InESP
	if p, ok := a.partition("esp"); ok && needsESP {
		c.ESP, _ = a.mountOf(p)
	}
	return c
}
