package hook

import "slipway/internal/bootfiles"

// Script is a file that connects the hook with a machine's package manager.
type Script struct {
	Path string // without leading slash
	Mode uint32
	Data string
}

// Scripts are what a machine of the Debian family needs beside the helper and
// its configuration. Kernel packages run the first two, dpkg reads the third.
func Scripts() []Script {
	const helper = "/" + bootfiles.HelperPath
	return []Script{
		{"etc/kernel/postinst.d/zz-slipway", 0o755, "#!/bin/sh\n# Makes a new kernel bootable; see /" + bootfiles.HookPath + ".\nexec " + helper + " kernel-hook \"$1\"\n"},
		{"etc/kernel/postrm.d/zz-slipway", 0o755, "#!/bin/sh\n# Takes a removed kernel out of the boot menu.\n[ ! -x " + helper + " ] || exec " + helper + " kernel-hook remove \"$1\"\n"},
		{"etc/dpkg/dpkg.cfg.d/slipway", 0o644, "# Brings a newer boot loader to the EFI system partition.\npost-invoke=if [ -x " + helper + " ]; then " + helper + " kernel-hook loader; fi\n"},
	}
}
