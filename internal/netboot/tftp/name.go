package tftp

import (
	"path"
	"strings"
)

// cleanName makes of what firmware asks for a relative path with slashes:
// loaders send backslashes and leading slashes, and ROMs that read the name
// from a DHCP packet without its length send what follows it there, 0xFF (the
// end option) or spaces. ok is false for a name that leaves the root.
func cleanName(raw string) (name string, ok bool) {
	name = strings.TrimRight(raw, "\xff \t\r\n")
	name = strings.ReplaceAll(name, `\`, "/")
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return "", false
		}
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	return name, name != ""
}
