package entries

import (
	"fmt"
	"strings"
)

// SystemdBoot renders loader.conf and one entry for each kernel.
func (m *Menu) SystemdBoot() []File {
	files := []File{{ESP: true, Path: "loader/loader.conf", Data: m.loaderConf("conf")}}
	for _, k := range m.Kernels {
		files = append(files, File{ESP: true, Path: m.EntryPath(k.Version), Data: m.entry(k)})
	}
	return files
}

// loaderConf is loader.conf(5). The menu is shown on the firmware's console,
// whatever its mode.
func (m *Menu) loaderConf(suffix string) []byte {
	def := m.machine() + "-*"
	if m.Default != "" {
		def = m.machine() + "-" + m.Default + "." + suffix
	}
	return fmt.Appendf(nil, "timeout %d\ndefault %s\nconsole-mode keep\neditor yes\n", m.Timeout, def)
}

// entry is a type #1 entry of the Boot Loader Specification. The loader sorts
// by sort-key, and by version downward.
func (m *Menu) entry(k Kernel) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "title %s\n", m.title(k))
	fmt.Fprintf(&b, "version %s\n", k.Version)
	fmt.Fprintf(&b, "sort-key %s\n", m.machine())
	fmt.Fprintf(&b, "linux /%s\n", m.ESPImage(k.Version))
	if !k.NoInitrd {
		fmt.Fprintf(&b, "initrd /%s\n", m.ESPInitrd(k.Version))
	}
	fmt.Fprintf(&b, "options %s\n", line(k.Cmdline))
	return []byte(b.String())
}
