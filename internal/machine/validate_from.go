package machine

import (
	"fmt"
	"slices"
	"strings"
)

// fromKeys are the keys that mean something for a stock image: what cloud-init
// can do at the first boot, and what concerns the running machine alone.
var fromKeys = []string{
	"slipway", "name", "system", "arch", "include", "replace", "when", "from", "files", "users", "services", "hostname",
	"timezone", "locale", "mounts", "network", "run", "disk", "boot", "vm", "ports", "outside", "restart", "probes",
}

// fromHints say what to do instead.
var fromHints = map[string]string{
	"packages": "install them with run, if the machine may reach an archive (outside: true)",
	"sysctl":   "write a file below /etc/sysctl.d with files",
	"shares":   "bring a disk with vm.disks",
	"hooks":    "use run",
}

// stock checks a definition that starts a disk image instead of building one.
func (v *validator) stock() {
	if v.d.From == nil {
		return
	}
	if v.d.FromTarball() {
		v.tarball()
		return
	}
	var given []string
	for key := range v.d.Set {
		given = append(given, key)
	}
	slices.Sort(given)
	for _, key := range given {
		if !slices.Contains(fromKeys, key) {
			v.at(key, "", "a stock image (from) is not built, so this has no effect", orElse(fromHints[key], "remove it, or build the machine without from"))
		}
	}
	for key := range v.d.positions {
		top, rest, _ := strings.Cut(key, ".")
		if top == "disk" && rest != "" && rest != "size" && !strings.Contains(rest, ".") {
			v.at(key, "", "the disk of a stock image is laid out already", "only disk.size is left")
		}
		if top == "boot" && rest != "" && !strings.HasPrefix(rest, "firmware") {
			v.at(key, "", "a stock image has its own loader", "only boot.firmware is left")
		}
	}
	for i, f := range v.d.Files {
		if f.Folder() {
			v.at(fmt.Sprintf("files.%d.path", i), f.Path, "a stock image gets files, not folders", "name each file")
		}
		if f.From != nil && f.From.URL != "" {
			v.at(fmt.Sprintf("files.%d.from", i), f.From.URL, "a stock image gets files of this host", "fetch it first")
		}
	}
	for i, c := range v.d.Run {
		if c.Network {
			v.at(fmt.Sprintf("run.%d.network", i), "", "commands of a stock image run in the running machine", "write outside: true for the machine")
		}
	}
}
