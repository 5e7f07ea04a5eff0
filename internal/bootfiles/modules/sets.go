package modules

import (
	"fmt"
	"sort"
	"strings"
)

// Set is a named group of modules for a kind of target.
type Set struct {
	Wanted   []string // must be there or part of the kernel
	Optional []string // taken if the kernel has them
}

// virtio is what a virtual machine has: disk, network, console, shared folders.
// The file system of its root is not among it: who makes an initramfs knows it.
var virtio = Set{
	Wanted: []string{"virtio_pci", "virtio_blk", "virtio_net", "virtio_console"},
	Optional: []string{
		"virtio_scsi", "sd_mod", "sr_mod", "virtio_mmio", "virtio_rng", "virtiofs", "9p", "9pnet_virtio", "loop", "overlay",
	},
}

// hardware is what real computers and other hypervisors have their disks on.
var hardware = []string{
	"ahci", "ata_piix", "ata_generic", "nvme", "sd_mod", "sr_mod",
	"xhci_pci", "ehci_pci", "uhci_hcd", "ohci_pci", "usb_storage", "uas", "usbhid", "hid_generic", "atkbd", "i8042",
	"mmc_block", "sdhci_pci", "sdhci_acpi",
	"hv_vmbus", "hv_storvsc", "hv_netvsc", "xen_blkfront", "xen_netfront", "vmw_pvscsi", "vmxnet3", "mptspi", "megaraid_sas", "mpt3sas",
	"virtio_iommu", "vmd",
}

// sets by name. A target boots with one of them.
var sets = map[string]Set{
	"vm":   {Wanted: virtio.Wanted, Optional: virtio.Optional},
	"disk": {Wanted: nil, Optional: join(virtio.Wanted, virtio.Optional, hardware)},
}

// Named gives a set: vm (virtio alone) or disk (also what real computers have).
// The modules of the root's file system come on top.
func Named(name string) (Set, error) {
	s, ok := sets[name]
	if !ok {
		names := make([]string, 0, len(sets))
		for n := range sets {
			names = append(names, n)
		}
		sort.Strings(names)
		return Set{}, fmt.Errorf("module set %q is unknown; known: %s", name, strings.Join(names, ", "))
	}
	return s, nil
}

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
