package qemu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// check finds every mistake in a configuration before anything starts.
func (c *Config) check() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Programs == nil || c.Name == "" {
		add("a machine needs a name and programs")
	}
	if c.Arch != "amd64" && c.Arch != "arm64" {
		add("machine %s: no virtual machine of architecture %s; there are amd64 and arm64", c.Name, c.Arch)
	}
	if c.CPUs < 1 || c.CPUs > 255 {
		add("machine %s: %d processors; from 1 to 255 are possible", c.Name, c.CPUs)
	}
	if len(c.Pin) > c.CPUs {
		add("machine %s: %d processors are pinned, it has %d", c.Name, len(c.Pin), c.CPUs)
	}
	if c.RunDir == "" && (c.Boot.Firmware == "uefi" && c.Boot.Vars == "" || len(c.Shares) > 0) {
		add("machine %s: UEFI and shared folders need a run folder", c.Name)
	}
	errs = append(errs, c.checkBoot(), c.checkMemory(), c.checkDisks(), c.checkNICs(), c.checkShares())
	return errors.Join(errs...)
}

// leastMemory is what firmware and loader need before any system starts.
const leastMemory = 48 << 20

func (c *Config) checkMemory() error {
	if c.Memory < leastMemory {
		return fmt.Errorf("machine %s: %s of memory; no system starts with less than %s", c.Name, Bytes(c.Memory), Bytes(leastMemory))
	}
	if st, err := os.Stat(c.Boot.Initrd); c.Boot.Initrd != "" && err == nil && st.Size()+leastMemory > c.Memory {
		return fmt.Errorf("machine %s: %s of memory cannot hold its initramfs of %s", c.Name, Bytes(c.Memory), Bytes(st.Size()))
	}
	return nil
}

func (c *Config) checkBoot() error {
	b := c.Boot
	var errs []error
	if !slices.Contains([]string{"", "bios", "uefi", "uboot"}, b.Firmware) {
		errs = append(errs, fmt.Errorf("machine %s: no firmware %q; there are bios, uefi and uboot", c.Name, b.Firmware))
	}
	if c.Arch == "arm64" && b.Firmware == "bios" {
		errs = append(errs, fmt.Errorf("machine %s: an arm64 machine has no BIOS", c.Name))
	}
	if c.Arch != "arm64" && b.Firmware == "uboot" {
		errs = append(errs, fmt.Errorf("machine %s: there is u-boot for arm64 machines, not for %s", c.Name, c.Arch))
	}
	if b.Kernel == "" && (b.Initrd != "" || b.Cmdline != "") {
		errs = append(errs, fmt.Errorf("machine %s: an initramfs or a command line needs a kernel", c.Name))
	}
	for _, f := range []struct{ what, path string }{{"kernel", b.Kernel}, {"initramfs", b.Initrd}} {
		if f.path == "" {
			continue
		}
		if err := readable(f.path); err != nil {
			errs = append(errs, fmt.Errorf("machine %s: its %s cannot be used: %w", c.Name, f.what, err))
		}
	}
	return errors.Join(errs...)
}

// readable tells whether a file is one, and can be opened.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = fmt.Errorf("%s is a folder", path)
	}
	if err == nil && st.Mode().IsRegular() && st.Size() == 0 {
		err = fmt.Errorf("%s is empty", path)
	}
	return err
}

// buses are the disks' buses with the longest serial that a disk can have
// there.
var buses = map[string]int{"virtio": 20, "ahci": 20, "nvme": 20, "scsi": 36, "usb": 36}

func (c *Config) checkDisks() error {
	var errs []error
	serials, ahci := map[string]int{}, 0
	for i, d := range c.Disks {
		add := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("machine %s, disk %d: %w", c.Name, i+1, fmt.Errorf(format, args...)))
		}
		longest, ok := buses[d.Bus]
		switch {
		case !ok:
			add("no bus %q; there are virtio, ahci, nvme, scsi and usb", d.Bus)
		case len(d.Serial) > longest:
			add("serial %q has more than %d bytes", d.Serial, longest)
		case strings.ContainsFunc(d.Serial, func(r rune) bool { return r <= ' ' || r > '~' }):
			add("serial %q has spaces or special characters", d.Serial)
		case d.Serial != "" && serials[d.Serial] > 0:
			add("serial %s is that of disk %d too", d.Serial, serials[d.Serial])
		case d.Slot != "" && d.Bus != "virtio" && d.Bus != "nvme":
			add("a disk on bus %s has no PCI address of its own", d.Bus)
		case d.Sector != 512 && d.Sector != 4096:
			add("sectors of %d bytes; there are 512 and 4096", d.Sector)
		case d.Sector == 4096 && d.Bus == "ahci":
			add("QEMU has no ahci disk with sectors of 4096 bytes; use virtio, nvme or scsi")
		case d.ReadOnly && d.Bus == "ahci":
			add("QEMU has no read-only ahci disk; use virtio, nvme or scsi")
		}
		if d.Bus == "ahci" {
			if ahci++; ahci > ahciPorts {
				add("there is room for %d ahci disks", ahciPorts)
			}
		}
		serials[d.Serial] = i + 1
		if err := checkImage(d); err != nil {
			add("%w", err)
		}
	}
	return errors.Join(errs...)
}

// checkImage finds images that QEMU would refuse in its own words, or read
// wrongly.
func checkImage(d Disk) error {
	if err := readable(d.Path); err != nil {
		return err
	}
	f, err := os.Open(d.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil {
		return fmt.Errorf("reading %s: %w", d.Path, err)
	}
	isQcow := bytes.Equal(magic, []byte{'Q', 'F', 'I', 0xfb})
	switch {
	case d.Format == "qcow2" && !isQcow:
		return fmt.Errorf("%s is not a qcow2 image", d.Path)
	case d.Format == "raw" && isQcow:
		return fmt.Errorf("%s is a qcow2 image, not raw", d.Path)
	case d.Format != "raw" && d.Format != "qcow2":
		return fmt.Errorf("%s: no format %q; there are raw and qcow2", d.Path, d.Format)
	}
	if st, err := f.Stat(); err == nil && d.Format == "raw" && st.Mode().IsRegular() && st.Size()%int64(d.Sector) != 0 {
		return fmt.Errorf("%s has %d bytes, which is no whole number of sectors of %d bytes", d.Path, st.Size(), d.Sector)
	}
	return nil
}

func (c *Config) checkNICs() error {
	var errs []error
	macs := map[string]int{}
	for i, n := range c.NICs {
		add := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("machine %s, network card %d: %w", c.Name, i+1, fmt.Errorf(format, args...)))
		}
		switch {
		case len(n.MAC) != 6 || n.MAC[0]&1 != 0 || bytes.Equal(n.MAC, make([]byte, 6)):
			add("%s is no address of a card", n.MAC)
		case macs[n.MAC.String()] > 0:
			add("MAC address %s is that of card %d too", n.MAC, macs[n.MAC.String()])
		case n.Model != "virtio" && n.Model != "e1000e":
			add("no model %q; there are virtio and e1000e", n.Model)
		case n.Tap != nil && n.Stream != nil:
			add("it has two cables")
		}
		macs[n.MAC.String()] = i + 1
	}
	return errors.Join(errs...)
}

func (c *Config) checkShares() error {
	var errs []error
	tags := map[string]bool{}
	for _, s := range c.Shares {
		st, err := os.Stat(s.Path)
		switch {
		case s.Tag == "" || len(s.Tag) > 36:
			err = fmt.Errorf("a tag has 1 to 36 bytes, %q has %d", s.Tag, len(s.Tag))
		case tags[s.Tag]:
			err = errors.New("the tag is used twice")
		case err == nil && !st.IsDir():
			err = fmt.Errorf("%s is not a folder", s.Path)
		case s.Type != "" && s.Type != "virtiofs" && s.Type != "9p":
			err = fmt.Errorf("no type %q; there are virtiofs and 9p", s.Type)
		}
		tags[s.Tag] = true
		if err != nil {
			errs = append(errs, fmt.Errorf("machine %s, shared folder %q: %w", c.Name, s.Tag, err))
		}
	}
	return errors.Join(errs...)
}
