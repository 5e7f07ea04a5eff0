package metal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"slipway/internal/build"
	"slipway/internal/image/partition"
)

// Keep writes a machine into the partitions that a disk has already, each
// found by its name. The table, all other partitions, and file systems that
// hold what lasts (state and data) stay as they are.
func (d *Device) Keep(ctx context.Context, b *build.Builder, r *build.Result, opt WriteOptions) error {
	table, err := d.table()
	if err != nil {
		return err
	}
	filled, booted, err := b.Fill(ctx, r, existing(table))
	if err != nil {
		return err
	}
	if err := d.Idle(); err != nil {
		return err
	}
	for _, p := range filled {
		at := slices.IndexFunc(table.Parts, func(t partition.Part) bool { return t.Name == p.Name })
		part := d.Part(table.Parts[at].Start, table.Parts[at].Size)
		if p.Volume == nil || (p.Use == "state" || p.Use == "data") && part.holdsFilesystem() {
			continue
		}
		what := opt
		what.What = fmt.Sprintf("%s, partition %s", opt.What, p.Name)
		if err := part.Write(ctx, p.Volume, what); err != nil {
			return fmt.Errorf("partition %s: %w", p.Name, err)
		}
	}
	if booted.BIOS == nil {
		return nil
	}
	return d.keepBIOS(table, booted.BIOS.Place)
}

func (d *Device) table() (*partition.Table, error) {
	f, err := os.Open(d.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	table, err := partition.Read(f, d.Size, d.tableSector())
	if errors.Is(err, partition.ErrNoTable) || err == nil && table.Kind == partition.MBR {
		return nil, fmt.Errorf("%s has no GPT, so no partition has a name to be kept by; leave --keep-table away to write the disk anew", d.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the table of %s: %w", d.Path, err)
	}
	return table, nil
}

// tableSector is the size of the sectors that the table counts in; 0 finds it
// out, for a file that may stand for a disk of either.
func (d *Device) tableSector() int {
	if d.File {
		return 0
	}
	return d.Sector
}

func existing(t *partition.Table) []build.Existing {
	var out []build.Existing
	for i := range t.Parts {
		p := &t.Parts[i]
		out = append(out, build.Existing{Name: p.Name, Size: p.Size, PartUUID: t.PartUUID(p)})
	}
	return out
}

func (d *Device) holdsFilesystem() bool {
	f, err := os.Open(d.Path)
	if err != nil {
		return false
	}
	defer f.Close()
	var h Held
	h.identify(io.NewSectionReader(f, d.base, d.Size))
	return h.Filesystem != ""
}

// keepBIOS puts GRUB where a BIOS finds it, around the table that stays.
func (d *Device) keepBIOS(t *partition.Table, place func(int64) ([]byte, []byte, error)) error {
	at := slices.IndexFunc(t.Parts, func(p partition.Part) bool { return p.Type == partition.BIOSBoot.GUID })
	if at < 0 {
		return nil
	}
	code, core, err := place(t.Parts[at].Start)
	if err != nil {
		return err
	}
	if int64(len(core)) > t.Parts[at].Size || len(code) > 440 {
		return fmt.Errorf("the BIOS boot partition of %s has %d bytes, and GRUB needs %d", d.Path, t.Parts[at].Size, len(core))
	}
	f, err := d.open()
	if err != nil {
		return err
	}
	defer f.Close()
	for offset, data := range map[int64][]byte{t.Parts[at].Start: core, 0: code} {
		if _, err := f.WriteAt(data, offset); err != nil {
			return fmt.Errorf("writing GRUB to %s: %w", d.Path, err)
		}
	}
	return errors.Join(f.Sync(), d.reread(f), f.Close())
}
