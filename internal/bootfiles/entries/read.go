package entries

import (
	"strings"
)

// Named are the files that a loader's configuration names, as it sees them.
type Named struct {
	Title string
	Files []string // kernel, initramfs, device tree
	Dirs  []string // folders of device trees
	Line  string   // the kernel's command line
}

// words splits a line of configuration into its first word and the rest.
func words(text string) (key, value string) {
	text = strings.TrimSpace(text)
	i := strings.IndexAny(text, " \t")
	if i < 0 {
		return text, ""
	}
	return text[:i], strings.TrimSpace(text[i:])
}

// ReadEntry reads a type #1 entry of the Boot Loader Specification.
func ReadEntry(text string) Named {
	var n Named
	for line := range strings.Lines(text) {
		switch key, value := words(line); key {
		case "title":
			n.Title = value
		case "linux", "initrd", "efi", "devicetree":
			n.Files = append(n.Files, value)
		case "options":
			n.Line = strings.TrimSpace(n.Line + " " + value)
		}
	}
	return n
}

// ReadExtlinux reads the labels of an extlinux.conf. Keys are the same in any
// case of letters.
func ReadExtlinux(text string) []Named {
	var all []Named
	for line := range strings.Lines(text) {
		key, value := words(line)
		if strings.EqualFold(key, "label") {
			all = append(all, Named{Title: value})
			continue
		}
		if len(all) == 0 {
			continue
		}
		n := &all[len(all)-1]
		switch strings.ToLower(key) {
		case "kernel", "linux", "initrd", "fdt":
			n.Files = append(n.Files, value)
		case "fdtdir":
			n.Dirs = append(n.Dirs, value)
		case "append":
			n.Line = value
		}
	}
	return all
}

// ReadGRUB reads the menu entries of a static grub.cfg.
func ReadGRUB(text string) []Named {
	var all []Named
	for line := range strings.Lines(text) {
		f := unquote(line)
		if len(f) > 1 && f[0] == "menuentry" {
			all = append(all, Named{Title: f[1]})
		}
		if len(all) == 0 || len(f) < 2 {
			continue
		}
		n := &all[len(all)-1]
		switch f[0] {
		case "linux":
			n.Files, n.Line = append(n.Files, f[1]), strings.Join(f[2:], " ")
		case "initrd":
			n.Files = append(n.Files, f[1:]...)
		}
	}
	return all
}

// unquote splits a line of GRUB's language into words, as a shell does with
// quotes and backslashes. Variables are left as they stand.
func unquote(line string) []string {
	var out []string
	var word strings.Builder
	in, quoted := false, byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quoted != 0 && c == quoted:
			quoted = 0
		case c == '\\' && quoted != '\'' && i+1 < len(line):
			i++
			in = true
			word.WriteByte(line[i])
		case quoted != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quoted, in = c, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if in {
				out = append(out, word.String())
			}
			word.Reset()
			in = false
		case c == '#' && !in:
			return out
		default:
			in = true
			word.WriteByte(c)
		}
	}
	if in {
		out = append(out, word.String())
	}
	return out
}
