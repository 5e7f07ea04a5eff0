package node

import "fmt"

// Hardware is what a machine is made of, as far as its kernel tells.
type Hardware struct {
	Vendor   string `json:"vendor,omitempty"`
	Product  string `json:"product,omitempty"`
	UUID     string `json:"uuid,omitempty"`   // SMBIOS, lower case
	Serial   string `json:"serial,omitempty"` // SMBIOS
	Asset    string `json:"asset,omitempty"`  // SMBIOS
	BIOS     string `json:"bios,omitempty"`   // version and date of the firmware
	Firmware string `json:"firmware"`         // uefi or bios
	Secure   bool   `json:"secure_boot,omitempty"`

	CPU    string `json:"cpu,omitempty"`
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory"`        // bytes that the kernel has
	ECC    string `json:"ecc,omitempty"` // what the memory controller says: its kind; empty: not known
	Kernel string `json:"kernel,omitempty"`

	NICs  []NIC  `json:"nics"`
	Disks []Disk `json:"disks"`
	// MissingFirmware are files that a driver asked for and did not get.
	MissingFirmware []string `json:"missing_firmware,omitempty"`
	// NoDriver are PCI devices of network and storage without a driver.
	NoDriver []string `json:"no_driver,omitempty"`
}

// String is the machine in one line.
func (h *Hardware) String() string {
	return fmt.Sprintf("%s %s, %s, %d MiB, %d cards, %d disks", h.Vendor, h.Product, h.CPU, h.Memory>>20, len(h.NICs), len(h.Disks))
}

// NIC is one network card.
type NIC struct {
	Name     string `json:"name"`
	MAC      string `json:"mac"`
	Driver   string `json:"driver,omitempty"`
	Path     string `json:"path,omitempty"` // PCI address, 0000:03:00.0
	Model    string `json:"model,omitempty"`
	Speed    int    `json:"speed,omitempty"`    // Mbit/s
	Firmware string `json:"firmware,omitempty"` // version, as ethtool gives it
	Link     bool   `json:"link"`
	Boot     bool   `json:"boot,omitempty"` // the one that the machine started from
}

// Disk is one disk.
type Disk struct {
	Name       string   `json:"name"`              // sda
	ByPath     string   `json:"by_path,omitempty"` // /dev/disk/by-path/...
	ByID       []string `json:"by_id,omitempty"`   // /dev/disk/by-id/...
	Serial     string   `json:"serial,omitempty"`
	Model      string   `json:"model,omitempty"`
	Size       int64    `json:"size"` // bytes
	Sector     int      `json:"sector,omitempty"`
	Bus        string   `json:"bus,omitempty"` // virtio, ahci, nvme, scsi, usb
	Path       string   `json:"path,omitempty"`
	Rotational bool     `json:"rotational,omitempty"`
	Removable  bool     `json:"removable,omitempty"`
	Link       string   `json:"link,omitempty"`  // state of its line: 6.0 Gbps; 8.0 GT/s x4
	Holds      []string `json:"holds,omitempty"` // for people
}
