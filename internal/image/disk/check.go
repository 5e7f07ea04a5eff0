package disk

import (
	"errors"
	"fmt"
	"slices"
)

// check refuses layouts that cannot be, whatever the sizes turn out to be.
func (r *Request) check() error {
	l := &r.Layout
	if !slices.Contains([]string{"gpt", "msdos", "hybrid", "none"}, l.Table) {
		return fmt.Errorf("unknown table %q: want gpt, msdos, hybrid or none", l.Table)
	}
	if l.SectorSize != 512 && l.SectorSize != 4096 {
		return fmt.Errorf("sectors of %d bytes: want 512 or 4096", l.SectorSize)
	}
	if l.Size < 0 || int64(l.Size)%int64(l.SectorSize) != 0 {
		return fmt.Errorf("the disk's size of %d bytes is no multiple of its sectors of %d", int64(l.Size), l.SectorSize)
	}
	if l.Table == "msdos" && int64(l.Size)/int64(l.SectorSize) >= 1<<32 {
		return fmt.Errorf("an msdos table ends at %d sectors, and the disk's %s are more; choose table: gpt", int64(1)<<32, l.Size)
	}
	if len(r.Blobs) != len(l.Blobs) {
		return fmt.Errorf("%d contents for %d blobs", len(r.Blobs), len(l.Blobs))
	}
	if l.Table == "none" && (len(l.Partitions) != 1 || l.Partitions[0].Use != "root") {
		return errors.New("without a table the disk is one file system, the root; keep the root alone, or choose table: gpt")
	}
	return errors.Join(r.checkUses(), r.checkBIOS(), r.checkSizes())
}

func (r *Request) checkUses() error {
	seen := map[string]int{}
	for i, p := range r.Layout.Partitions {
		first, twice := seen[p.Use]
		switch {
		case !slices.Contains([]string{"esp", "bios", "boot", "root", "swap", "state", "data", "raw"}, p.Use):
			return fmt.Errorf("partition %d: unknown use %q", i+1, p.Use)
		case twice && !slices.Contains([]string{"data", "raw", "swap"}, p.Use):
			return fmt.Errorf("partitions %d and %d are both %s; there can be one", first, i+1, p.Use)
		case p.Use == "bios" && r.Layout.Table == "msdos":
			return fmt.Errorf("partition %d (bios): an msdos table keeps the loader before its first partition; remove it", i+1)
		}
		seen[p.Use] = i + 1
	}
	if _, ok := seen["root"]; !ok && !r.NoRoot {
		return errors.New("no partition is the root; add {use: root, grow: true}")
	}
	return nil
}

// checkBIOS demands a place for what a BIOS starts.
func (r *Request) checkBIOS() error {
	if r.Boot == nil {
		return nil
	}
	switch r.Layout.Table {
	case "none":
		return errors.New("a BIOS starts nothing from a disk without a table; choose table: gpt or msdos, or take bios out of boot.firmware")
	case "gpt", "hybrid":
		if _, ok := r.Layout.Partition("bios"); !ok {
			return errors.New("a GPT has no place for GRUB's core image without a BIOS boot partition; add {use: bios}, or choose table: msdos, or take bios out of boot.firmware")
		}
	}
	return nil
}

func (r *Request) checkSizes() error {
	grows := 0
	var errs []error
	for i, p := range r.Layout.Partitions {
		if p.Size < 0 || int64(p.Size)%int64(r.Layout.SectorSize) != 0 {
			errs = append(errs, fmt.Errorf("partition %d (%s): %d bytes are no multiple of the disk's sectors of %d", i+1, p.Use, int64(p.Size), r.Layout.SectorSize))
		}
		if p.Use == "esp" && p.Size < MinESP && p.Size != 0 {
			errs = append(errs, fmt.Errorf("partition %d (esp): %s are too few for a FAT32, which firmware reads; it takes 33M, and 128M hold two kernels", i+1, p.Size))
		}
		empty := slices.Contains([]string{"swap", "state", "data", "bios"}, p.Use)
		if empty && p.Size == 0 && (!p.Grow || r.Layout.Size == 0) {
			errs = append(errs, fmt.Errorf("partition %d (%s): it is empty when it is made, so it needs a size", i+1, p.Use))
		}
		if p.Grow && grows > 0 {
			errs = append(errs, fmt.Errorf("partitions %d and %d both grow; only one can take what is left", grows, i+1))
		}
		if p.Grow {
			grows = i + 1
		}
	}
	return errors.Join(errs...)
}
