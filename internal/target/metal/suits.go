package metal

import (
	"fmt"

	"slipway/internal/image"
	"slipway/internal/machine"
)

// Suits refuses an image (ImageFile, QCOW2File) that could not start from the
// disk, before anything is written.
func (d *Device) Suits(v image.Volume, what string) error {
	if err := d.Fits(v.Size(), what); err != nil {
		return err
	}
	t, ok := v.(tabled)
	if !ok || t.tableSector() == 0 {
		return nil
	}
	if d.Partition {
		return d.noTable(fmt.Sprintf("%s brings a partition table", what))
	}
	if sector := t.tableSector(); !d.File && sector != d.Sector {
		return fmt.Errorf("the partition table of %s counts in sectors of %d bytes, and those of %s have %d: write the definition instead, or build the image with disk.sector_size: %d",
			what, sector, d.Path, d.Sector, d.Sector)
	}
	return nil
}

// SuitsLayout refuses the disk of a definition that this one cannot be.
func (d *Device) SuitsLayout(l machine.Disk) error {
	if d.Partition && l.Table != "none" {
		return d.noTable(fmt.Sprintf("the definition wants a %s partition table", l.Table))
	}
	empty := d.File && d.Size == 0 // becomes as large as it has to
	if int64(l.Size) > d.Size && !empty {
		return fmt.Errorf("disk.size is %s, and %s has %s: choose a larger disk, or make disk.size smaller", l.Size, d.Path, humanSize(d.Size))
	}
	return nil
}

func (d *Device) noTable(why string) error {
	return fmt.Errorf("%s is a partition, and %s: name the whole disk, or have a bare file system with disk: {table: none}", d.Path, why)
}
