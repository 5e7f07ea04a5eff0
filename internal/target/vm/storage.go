package vm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"slipway/internal/image/qcow2"
	"slipway/internal/machine"
	"slipway/internal/target/qemu"
	"slipway/internal/target/supervisor"
)

// body is a virtual machine's storage.
type body struct {
	*supervisor.Host
	programs programs
}

// overlayFile takes what the machine writes to its disk.
const overlayFile = "disk.qcow2"

// varsFile holds the variables of UEFI.
const varsFile = "efivars.fd"

// tpmDir is the folder of the TPM's state.
const tpmDir = "tpm"

func (b *body) path(name string) string { return filepath.Join(b.Spec.RunDir, name) }

// disks makes those disks of the machine that are not there yet.
func (b *body) disks() ([]qemu.Disk, error) {
	d := b.Spec.Definition
	var list []qemu.Disk
	if b.fetched() {
		disk, err := b.blankDisk()
		if err != nil {
			return nil, err
		}
		return b.furtherDisks(append(list, disk))
	}
	if image := b.Spec.Boot.Disk; image != "" {
		if err := b.overlay(image); err != nil {
			return nil, err
		}
		list = append(list, qemu.Disk{
			Path: b.path(overlayFile), Format: "qcow2", Bus: d.VM.Bus, Serial: DiskSerial(d),
			Sector: d.Disk.SectorSize, Boot: 1, Ephemeral: !b.Spec.Keep,
		})
	}
	if b.Spec.Boot.State.Length > 0 {
		path, err := b.stateDisk()
		if err != nil {
			return nil, err
		}
		list = append(list, qemu.Disk{Path: path, Format: "raw", Bus: d.VM.Bus, Serial: "state"})
	}
	if seed := b.Spec.Boot.Seed; seed != "" {
		list = append(list, qemu.Disk{Path: seed, Format: "raw", Bus: d.VM.Bus, Serial: "seed", ReadOnly: true})
	}
	return b.furtherDisks(list)
}

// furtherDisks adds those that the definition lists.
func (b *body) furtherDisks(list []qemu.Disk) ([]qemu.Disk, error) {
	for i, extra := range b.Spec.Definition.VM.Disks {
		disk, err := b.extraDisk(i, extra)
		if err != nil {
			return nil, err
		}
		list = append(list, disk)
	}
	return list, nil
}

// blankFile is the disk of a machine that boots over the network.
const blankFile = "blank.raw"

// blankSize is that of its disk where nothing says.
const blankSize = 8 << 30

// blankDisk is an empty disk, which comes after the network.
func (b *body) blankDisk() (qemu.Disk, error) {
	d := b.Spec.Definition
	size := int64(blankSize)
	if d.Disk.Size > 0 {
		size = int64(d.Disk.Size)
	}
	disk := qemu.Disk{
		Path: b.path(blankFile), Format: "raw", Bus: d.VM.Bus, Serial: DiskSerial(d),
		Sector: d.Disk.SectorSize, Boot: 2, Ephemeral: !b.Spec.Keep,
	}
	return disk, makeBlank(disk.Path, max(size, b.Spec.Boot.DiskSize))
}

// makeBlank makes an empty file of that size, or leaves one that is there.
func makeBlank(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("making an empty disk: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() >= size {
		return nil
	}
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("making an empty disk: %w", err)
	}
	return nil
}

// DiskSerial is the first disk's: serials of virtio disks have at most 20 bytes.
func DiskSerial(d *machine.Definition) string {
	serial := d.VM.Serial
	if serial == "" {
		serial = d.Name
	}
	return serial[:min(len(serial), 20)]
}

// overlay makes the overlay over an image, unless one was kept.
func (b *body) overlay(image string) error {
	if _, err := os.Stat(b.path(overlayFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	st, err := os.Stat(image)
	if err != nil {
		return err
	}
	format, size := b.Spec.Boot.Format, b.Spec.Boot.DiskSize
	if format == "" || format == "raw" {
		format, size = "raw", max(size, st.Size())
	}
	if err := qcow2.OverlayHiding(b.path(overlayFile), image, format, size, b.hidden()...); err != nil {
		return fmt.Errorf("making the machine's own layer over its disk: %w", err)
	}
	return nil
}

// hidden is what of the image the machine must not see: its file system for
// state, which lies on a disk of its own that outlives builds. The machine
// finds it there by its UUID.
func (b *body) hidden() []qcow2.Range {
	if s := b.Spec.Boot.State; s.Length > 0 {
		return []qcow2.Range{{Offset: s.Offset, Length: s.Length}}
	}
	return nil
}

// extraDisk is a further disk: the host's own, or an empty one in the run folder.
func (b *body) extraDisk(i int, want machine.VMDisk) (qemu.Disk, error) {
	disk := qemu.Disk{Path: want.File, Format: "raw", Bus: want.Bus, Serial: want.Serial, Slot: want.Slot}
	if want.File != "" {
		return disk, nil
	}
	disk.Path, disk.Ephemeral = b.path("disk"+strconv.Itoa(i+2)+".raw"), !b.Spec.Keep
	f, err := os.OpenFile(disk.Path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return disk, fmt.Errorf("making disk %d of the machine: %w", i+2, err)
	}
	defer f.Close()
	if err := f.Truncate(int64(want.Size)); err != nil {
		return disk, fmt.Errorf("making disk %d of the machine: %w", i+2, err)
	}
	return disk, nil
}

// own lists the files that the machine has written.
func (b *body) own() []string {
	list := []string{b.path(overlayFile), b.path(varsFile), b.path(blankFile)}
	for i := range b.Spec.Definition.VM.Disks {
		list = append(list, b.path("disk"+strconv.Itoa(i+2)+".raw"))
	}
	return list
}

// Reset throws away what the machine has written.
func (b *body) Reset() error {
	var errs []error
	for _, path := range append(b.own(), b.path(tpmDir)) {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// Written is what its disks occupy on the host.
func (b *body) Written() int64 {
	var sum int64
	for _, path := range b.own() {
		if st, err := os.Stat(path); err == nil {
			sum += st.Sys().(*syscall.Stat_t).Blocks * 512
		}
	}
	return sum
}

// Close has nothing to remove that does not go with the folder.
func (b *body) Close() error { return nil }
