package deb

import (
	"slices"

	"slipway/internal/machine"
)

// naming is how a distribution's packages are called and cut.
type naming struct {
	kernel func(arch string) string // the full kernel
	// undivided are the releases in which systemd itself still holds its
	// resolver and its boot loader.
	undivided []string
}

var namings = map[string]naming{
	"debian": {kernel: debianKernel},
	"ubuntu": {kernel: func(string) string { return "linux-image-generic" }, undivided: []string{"jammy"}},
}

func namingOf(d *machine.Definition) naming {
	if n, ok := namings[d.Distribution()]; ok {
		return n
	}
	return namings["debian"]
}

func (n naming) whole(d *machine.Definition) bool { return slices.Contains(n.undivided, d.Release()) }

// debianKernel calls a kernel by the flavour for an architecture.
func debianKernel(arch string) string {
	switch arch {
	case "i386":
		arch = "686-pae"
	case "armhf":
		arch = "armmp"
	}
	return "linux-image-" + arch
}
