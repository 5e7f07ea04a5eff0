package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The package sets that are measured, on top of Debian's minimal base.
var (
	bootSet     = []string{"linux-image-cloud-amd64", "systemd-sysv", "openssh-server", "iproute2", "udev", "dbus", "ca-certificates"}
	userlandSet = []string{"systemd-sysv", "udev", "dbus"}
	addedSet    = append(append([]string(nil), bootSet...), "less")
	// About nine of ten packages are those of bootSet.
	secondSet = append(append([]string(nil), bootSet...), "nginx-light", "rsync", "tmux", "jq", "wget")
)

const release = "trixie"

// definition is a machine for slipway.
type definition struct {
	name     string
	packages []string
	files    map[string]string
	probes   []string // YAML of each
}

// write puts a definition into a file.
func (b *bench) write(d definition) (string, error) {
	var y strings.Builder
	fmt.Fprintf(&y, "slipway: v1\nname: %s\nsystem: debian/%s\npackages: [%s]\n", d.name, release, strings.Join(d.packages, ", "))
	fmt.Fprintf(&y, "mirror: {main: %q, security: %q}\n", b.mirror.address+"/debian", b.mirror.address+"/debian-security")
	if len(d.files) > 0 {
		y.WriteString("files:\n")
		for path, content := range d.files {
			fmt.Fprintf(&y, "  - {path: %s, content: %q}\n", path, content)
		}
	}
	if len(d.probes) > 0 {
		y.WriteString("probes:\n")
		for _, p := range d.probes {
			fmt.Fprintf(&y, "  - %s\n", p)
		}
	}
	file := filepath.Join(b.work, d.name+".yaml")
	return file, os.WriteFile(file, []byte(y.String()), 0o644)
}

// sources are the same archives for mmdebstrap.
func (b *bench) sources() []string {
	main, security := b.mirror.address+"/debian", b.mirror.address+"/debian-security"
	return []string{
		fmt.Sprintf("deb %s %s main", main, release),
		fmt.Sprintf("deb %s %s-updates main", main, release),
		fmt.Sprintf("deb %s %s-security main", security, release),
	}
}

// mmdebstrap is the command line that makes dir of the same packages.
func (b *bench) mmdebstrap(packages []string, dir string) []string {
	args := []string{"mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory", "--components=main",
		"--include=" + strings.Join(packages, ","), release, dir}
	return append(args, b.sources()...)
}

// build is the command line of slipway for the same machine. Class container
// makes no initramfs; plain makes one, as mmdebstrap does.
func (b *bench) build(file, class, store string) []string {
	return []string{b.slipway, "build", "--quiet", "--for", class, "--store", store, file}
}
