package entries

import (
	"fmt"
	"strings"
)

// Extlinux renders extlinux.conf as u-boot reads it (its
// doc/README.pxe). Times are tenths of a second there.
func (m *Menu) Extlinux() File {
	var b strings.Builder
	if m.Timeout > 0 {
		fmt.Fprintf(&b, "TIMEOUT %d\nPROMPT 1\n", m.Timeout*10)
	} else {
		b.WriteString("PROMPT 0\n")
	}
	def := m.Default
	if def == "" && len(m.Kernels) > 0 {
		def = m.Kernels[0].Version
	}
	if def != "" {
		fmt.Fprintf(&b, "DEFAULT %s\n", def)
	}
	for _, k := range m.Kernels {
		image, initrd := m.seen(k.Version)
		fmt.Fprintf(&b, "\nLABEL %s\n\tMENU LABEL %s\n\tKERNEL %s\n", k.Version, m.title(k), image)
		if !k.NoInitrd {
			fmt.Fprintf(&b, "\tINITRD %s\n", initrd)
		}
		if m.FDTDir != "" {
			fmt.Fprintf(&b, "\tFDTDIR %s\n", strings.ReplaceAll(m.FDTDir, "VERSION", k.Version))
		}
		fmt.Fprintf(&b, "\tAPPEND %s\n", line(k.Cmdline))
	}
	f := File{Path: "boot/extlinux/extlinux.conf", Data: []byte(b.String())}
	if m.Place == InESP {
		f.ESP, f.Path = true, "extlinux/extlinux.conf"
	}
	return f
}
