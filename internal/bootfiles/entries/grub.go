package entries

import (
	"fmt"
	"strings"
)

// GRUB renders a static grub.cfg: no module has to be loaded for it, and
// nothing is probed. The menu is where the kernel's consoles are, a serial one
// at the kernel's rate.
func (m *Menu) GRUB() File {
	var b strings.Builder
	b.WriteString("# Written by slipway; its kernel hook writes it anew when kernels come and go.\n")
	m.grubTerminal(&b)
	def := m.Default
	if def == "" && len(m.Kernels) > 0 {
		def = m.Kernels[0].Version
	}
	fmt.Fprintf(&b, "set default=%s\nset timeout=%d\n", quote(def), m.Timeout)
	if m.UUID != "" {
		fmt.Fprintf(&b, "search --no-floppy --fs-uuid --set=root %s\n", quote(m.UUID))
	}
	for _, k := range m.Kernels {
		image, initrd := m.seen(k.Version)
		fmt.Fprintf(&b, "menuentry %s --id %s {\n", quote(m.title(k)), quote(k.Version))
		fmt.Fprintf(&b, "\tlinux %s%s\n", quote(image), quoteWords(k.Cmdline))
		if !k.NoInitrd {
			fmt.Fprintf(&b, "\tinitrd %s\n", quote(initrd))
		}
		b.WriteString("}\n")
	}
	f := File{Path: "boot/grub/grub.cfg", Data: []byte(b.String())}
	if m.Place == InESP {
		f.ESP, f.Path = true, "grub/grub.cfg"
	}
	return f
}

// grubTerminal puts the menu on the kernel's consoles. A computer without the
// serial port keeps its screen.
func (m *Menu) grubTerminal(b *strings.Builder) {
	if len(m.Kernels) == 0 {
		return
	}
	screen, serial := false, Console{}
	for _, c := range Consoles(m.Kernels[0].Cmdline) {
		screen = screen || !c.Serial
		if c.Serial {
			serial = c
		}
	}
	if !serial.Serial {
		return // the screen is GRUB's default
	}
	if serial.Speed == 0 {
		serial.Speed = 9600 // the kernel's own default
	}
	names := "serial"
	if screen {
		names = "console serial"
	}
	fmt.Fprintf(b, "if serial --unit=%d --speed=%d --word=8 --parity=no --stop=1; then\n", serial.Unit, serial.Speed)
	fmt.Fprintf(b, "\tterminal_input %s\n\tterminal_output %s\nfi\n", names, names)
}

// quoteWords quotes each word, with a blank before it.
func quoteWords(cmdline string) string {
	var b strings.Builder
	for _, w := range strings.Fields(cmdline) {
		b.WriteString(" " + quote(w))
	}
	return b.String()
}

// quote makes one word of GRUB's language, as in a shell.
func quote(s string) string {
	plain := s != ""
	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%", r) {
			plain = false
		}
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
