package qemu

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// blockdev is a node of QEMU's block layer, in QEMU's own words.
type blockdev struct {
	Driver   string    `json:"driver"`
	Node     string    `json:"node-name,omitempty"`
	ReadOnly bool      `json:"read-only,omitempty"`
	Discard  string    `json:"discard,omitempty"`
	Cache    *cache    `json:"cache,omitempty"`
	Filename string    `json:"filename,omitempty"`
	File     *blockdev `json:"file,omitempty"`
}

type cache struct {
	NoFlush bool `json:"no-flush"`
}

func (b blockdev) json() string {
	data, err := json.Marshal(b)
	if err != nil {
		panic(err) // plain data cannot fail to encode
	}
	return string(data)
}

// fileNode is the protocol below a format: a file, or a block device.
func fileNode(path string) *blockdev {
	driver := "file"
	if st, err := os.Stat(path); err == nil && st.Mode()&os.ModeDevice != 0 {
		driver = "host_device"
	}
	return &blockdev{Driver: driver, Filename: path}
}

func (a *args) disks() {
	order := a.c.bootOrder()
	controllers := map[string]bool{}
	ports := 0
	for i, d := range a.c.Disks {
		b := blockdev{Driver: d.Format, Node: diskNode(i), ReadOnly: d.ReadOnly, Discard: "unmap", File: fileNode(d.Path)}
		if d.Ephemeral {
			b.Cache = &cache{NoFlush: true}
		}
		a.add("-blockdev", "%s", b.json())
		if !controllers[d.Bus] {
			a.controller(d.Bus)
			controllers[d.Bus] = true
		}
		var p []string
		switch d.Bus {
		case "virtio":
			p = append(p, "virtio-blk-pci", a.diskAt[i])
		case "nvme":
			p = append(p, "nvme", a.diskAt[i])
			if d.Serial == "" {
				p = append(p, "serial="+diskNode(i)) // it must have one
			}
		case "scsi":
			p = append(p, "scsi-hd", "bus=scsi.0")
		case "usb":
			p = append(p, "usb-storage", "bus=usb.0")
		case "ahci":
			p = append(p, "ide-hd", fmt.Sprintf("bus=%s.%d", a.c.ahci(), ports))
			ports++
		}
		p = append(p, "id=hd"+fmt.Sprint(i), "drive="+diskNode(i))
		if d.Serial != "" {
			p = append(p, "serial="+escape(d.Serial))
		}
		if d.Sector != 512 {
			p = append(p, fmt.Sprintf("logical_block_size=%d,physical_block_size=%d", d.Sector, d.Sector))
		}
		if order[i] > 0 {
			p = append(p, fmt.Sprintf("bootindex=%d", order[i]))
		}
		a.device("%s", strings.Join(p, ","))
	}
}

func diskNode(i int) string { return fmt.Sprintf("disk%d", i) }

// bootOrder is what the firmware tries. Where nothing was said it is the first
// disk, unless a kernel is started directly or a network card comes first.
func (c *Config) bootOrder() []int {
	order := make([]int, len(c.Disks))
	for i, d := range c.Disks {
		order[i] = d.Boot
	}
	said := slices.ContainsFunc(c.Disks, func(d Disk) bool { return d.Boot > 0 }) ||
		slices.ContainsFunc(c.NICs, func(n NIC) bool { return n.Boot > 0 })
	if !said && c.Boot.Kernel == "" && len(order) > 0 {
		order[0] = 1
	}
	return order
}

// ahciPorts is how many disks the machine's own controller takes.
const ahciPorts = 6

// ahci is the bus of the controller: q35 has one of its own.
func (c *Config) ahci() string {
	if c.Arch == "amd64" {
		return "ide"
	}
	return "ahci"
}

func (a *args) controller(bus string) {
	switch {
	case bus == "scsi":
		a.device("virtio-scsi-pci,id=scsi,%s", a.slot("", otherSlots+2, "the scsi controller"))
	case bus == "usb":
		a.device("qemu-xhci,id=usb,%s", a.slot("", otherSlots+3, "the usb controller"))
	case bus == "ahci" && a.c.Arch != "amd64":
		a.device("ich9-ahci,id=ahci,%s", a.slot("", otherSlots+2, "the ahci controller"))
	}
}
