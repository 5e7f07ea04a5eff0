package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"slipway/internal/bootfiles"
)

// Where partitions are mounted in the machine.
const (
	espMount   = "/boot/efi"
	stateMount = bootfiles.StateMount
)

// addFstab writes the lines that follow from the disk above those of the tree,
// and makes the mount points.
func (a *assembly) addFstab(context.Context) error {
	old, err := a.read("etc/fstab", 1<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var lines strings.Builder
	for _, p := range a.Partitions {
		if p.Use == "state" {
			a.stateLines(&lines, p)
			continue
		}
		where, options := a.mountOf(p)
		if where == "" || mounted(string(old), where) {
			continue // the definition's own line counts
		}
		fsck := "2"
		switch {
		case where == "/":
			fsck = "1"
		case where == "none" || p.Filesystem == "xfs" || p.Filesystem == "btrfs":
			fsck = "0"
		}
		writeLine(&lines, a.source(p), where, a.fsType(p), options, fsck)
		a.mountPoint(where)
	}
	if lines.Len() == 0 {
		return nil
	}
	a.root.file("etc/fstab", 0o644, []byte(lines.String()+strings.TrimPrefix(string(old), unconfigured)))
	return nil
}

// unconfigured is what Debian's base-files has in place of lines.
const unconfigured = "# UNCONFIGURED FSTAB FOR BASE SYSTEM\n"

// mounted tells whether a table has a line for a mount point.
func mounted(table, where string) bool {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) > 1 && !strings.HasPrefix(f[0], "#") && f[1] == where && strings.HasPrefix(where, "/") {
			return true
		}
	}
	return false
}

// mountOf says where and how a partition is mounted; empty: nowhere.
func (a *assembly) mountOf(p Partition) (where, options string) {
	options = p.Options
	if options == "" {
		options = "defaults"
	}
	switch p.Use {
	case "root":
		if p.Filesystem == "squashfs" || p.Filesystem == "erofs" {
			return "", "" // the overlay over it is no device
		}
		return "/", options
	case "boot", "data":
		return p.Mount, options
	case "esp":
		if p.Options == "" {
			// A machine boots without it: it is needed when kernels change.
			options = "umask=0077,nofail,x-systemd.automount,x-systemd.device-timeout=10"
		}
		if p.Mount != "" {
			return p.Mount, options
		}
		return espMount, options
	case "swap":
		return "none", "sw"
	}
	return "", ""
}

// stateLines mount the partition of what survives, and show each folder of it
// at its place.
func (a *assembly) stateLines(w *strings.Builder, p Partition) {
	options := p.Options
	if options == "" {
		options = "defaults"
	}
	writeLine(w, a.source(p), stateMount, a.fsType(p), options, "2")
	a.mountPoint(stateMount)
	for _, dir := range a.Definition.State {
		writeLine(w, stateMount+dir, dir, "none", "bind,x-systemd.requires-mounts-for="+stateMount, "0")
		a.mountPoint(dir)
	}
}

func (a *assembly) fsType(p Partition) string {
	if p.Use == "swap" {
		return "swap"
	}
	return p.Filesystem
}

// source names a partition in fstab.
func (a *assembly) source(p Partition) string {
	switch {
	case p.UUID != "":
		return "UUID=" + p.UUID
	case p.PartUUID != "":
		return "PARTUUID=" + p.PartUUID
	}
	return "LABEL=" + p.Label
}

func (a *assembly) mountPoint(where string) {
	if where = strings.TrimPrefix(path.Clean(where), "/"); where != "" && where != "none" && a.fs.Resolve(where) == nil {
		a.root.dir(where)
	}
}

func writeLine(w *strings.Builder, what, where, kind, options, fsck string) {
	escape := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t0\t%s\n", escape(what), escape(where), kind, escape(options), fsck)
}
