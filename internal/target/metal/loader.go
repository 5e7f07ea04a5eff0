package metal

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"slipway/internal/image/partition"
	"slipway/internal/image/vfat"
)

// BootEntry finds what the firmware is to start from a written disk: a loader
// with a name of its own on the ESP, or the one for removable disks. ok is
// false when the disk has nothing for UEFI.
func (d *Device) BootEntry(label string) (e BootEntry, ok bool, err error) {
	f, err := os.Open(d.Path)
	if err != nil {
		return e, false, err
	}
	defer f.Close()
	table, err := partition.Read(f, d.Size, d.tableSector())
	if err != nil {
		return e, false, nil // a disk without a table has no ESP
	}
	for _, p := range table.Parts {
		if p.Type != partition.ESP.GUID {
			continue
		}
		esp, err := vfat.Open(io.NewSectionReader(f, p.Start, p.Size), p.Size)
		if err != nil {
			return e, false, fmt.Errorf("reading the ESP of %s: %w", d.Path, err)
		}
		loader := findLoader(esp)
		if loader == "" {
			return e, false, nil
		}
		sector := uint64(table.Sector)
		return BootEntry{
			Label: label, Partition: uint32(p.Number), Start: uint64(p.Start) / sector, Sectors: uint64(p.Size) / sector,
			GUID: p.ID, Path: ESPPath(loader),
		}, true, nil
	}
	return e, false, nil
}

// findLoader looks for a loader with a folder of its own before the one that
// firmware starts from any disk, because that one may belong to another system.
func findLoader(esp fs.FS) string {
	for _, pattern := range []string{"EFI/systemd/systemd-boot*.efi", "EFI/slipway/*.efi", "EFI/Linux/*.efi", "EFI/BOOT/BOOT*.EFI"} {
		names, _ := fs.ReadDir(esp, path.Dir(pattern))
		for _, n := range names {
			if ok, _ := path.Match(strings.ToLower(path.Base(pattern)), strings.ToLower(n.Name())); ok {
				return path.Join(path.Dir(pattern), n.Name())
			}
		}
	}
	return ""
}
