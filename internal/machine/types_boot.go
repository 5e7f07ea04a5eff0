package machine

// Kernel is one kernel of a machine that boots its own. Further kernels are in
// the menu of the loader; the first one is the default.
type Kernel struct {
	Package string   `yaml:"package" check:"kernel" default:"auto" example:"linux-image-cloud-amd64" doc:"Package of the kernel; auto: the distribution's full kernel; host: the host's own kernel and initramfs, found anew at every start; none: no kernel in the machine."`
	File    string   `yaml:"file" check:"hostpath" path:"host" example:"./bzImage" doc:"Kernel image on the host instead of a package; a link is followed at every start."`
	Initrd  string   `yaml:"initrd" check:"hostpath" path:"host" example:"./initrd.img" doc:"Initramfs on the host that belongs to file."`
	Cmdline []string `yaml:"cmdline" check:"cmdword" remove:"true" default:"none" example:"[quiet, \"net.ifnames=0\"]" doc:"Words added to the kernel's command line."`
	Modules []string `yaml:"modules" check:"module" remove:"true" default:"none" example:"[megaraid_sas]" doc:"Modules that the initramfs holds beside those that the target needs."`
}

// Disk says how a disk of the machine is laid out.
type Disk struct {
	Size       Size        `yaml:"size" default:"what the machine needs, and room" example:"2G" doc:"Size of the disk."`
	Table      string      `yaml:"table" check:"table" default:"gpt" example:"msdos" doc:"Partition table: gpt, msdos, hybrid (a GPT with an MBR that names its partitions), or none (a bare file system)."`
	SectorSize int         `yaml:"sector_size" check:"sector" default:"512" example:"4096" doc:"Bytes of a logical sector, 512 or 4096."`
	Partitions []Partition `yaml:"partitions" default:"ESP, BIOS boot partition and an ext4 root that grows" doc:"Partitions, in the order in which they lie on the disk."`
	Blobs      []Blob      `yaml:"blobs" default:"none" doc:"Raw bytes at fixed places, for boards that load from there."`
}

// Partition is one part of a disk.
type Partition struct {
	Use        string   `yaml:"use" required:"true" check:"partuse" example:"root" doc:"What it is for: esp, bios (GRUB's own place on a GPT), boot (/boot), root, swap, state (what state: lists), data (mounted at mount), or raw (content from a file)."`
	Filesystem string   `yaml:"filesystem" check:"filesystem" default:"ext4; esp: vfat" example:"ext4" doc:"File system: ext4, xfs, btrfs, vfat, squashfs or erofs (both read-only, with an overlay in memory)."`
	Size       Size     `yaml:"size" default:"esp 128M, bios 1M, else what it holds and room" example:"128M" doc:"Size of the partition."`
	Grow       bool     `yaml:"grow" default:"false; true for the default root" example:"true" doc:"Takes what is left of the disk, and grows with it at the first boot."`
	Label      string   `yaml:"label" check:"volumelabel" default:"its use" example:"system" doc:"Label of the file system."`
	Name       string   `yaml:"name" check:"partname" default:"its use" example:"system" doc:"Name of the partition in a GPT."`
	Mount      string   `yaml:"mount" check:"abspath" example:"/srv" doc:"Where a data partition is mounted."`
	Options    string   `yaml:"options" check:"fstab" default:"defaults" example:"noatime" doc:"Mount options, separated by commas."`
	Subvolumes []string `yaml:"subvolumes" check:"abspath" default:"none" example:"[/home, /var/log]" doc:"Folders that are subvolumes of a btrfs."`
	From       *From    `yaml:"from" doc:"Content of a raw partition."`
	Type       string   `yaml:"type" check:"parttype" default:"what its use says" example:"c12a7328-f81f-11d2-ba4b-00a0c93ec93b" doc:"Type of the partition: a GUID, or two hexadecimal digits in an MBR."`
	Pos        Position `yaml:"-"`
}

// Blob is raw bytes at an offset of the disk.
type Blob struct {
	From   *From    `yaml:"from" required:"true" example:"./u-boot.img" doc:"Source of the bytes."`
	Offset Size     `yaml:"offset" required:"true" example:"8K" doc:"Offset from the start of the disk."`
	Skip   Size     `yaml:"skip" default:"0B" example:"512B" doc:"Bytes of the source left out at its start."`
	Pos    Position `yaml:"-"`
}

// Boot says how a machine gets from power on to its init.
type Boot struct {
	Firmware  []string `yaml:"firmware" check:"firmware" default:"[uefi, bios]; arm: [uefi]" example:"[uefi]" doc:"Firmware that the disk boots under: uefi, bios or uboot."`
	Loader    string   `yaml:"loader" check:"loader" default:"auto" example:"uki" doc:"Boot loader: auto (systemd-boot for UEFI, GRUB for BIOS, extlinux for u-boot), systemd-boot, uki (a unified kernel image), grub, extlinux (its configuration alone, for u-boot) or none."`
	Console   []string `yaml:"console" check:"console" default:"[\"ttyS0,115200\"]; arm: [\"ttyAMA0,115200\"]" example:"[tty0, \"ttyS0,115200\"]" doc:"Consoles of loader, kernel and login, each with its rate; the last one is /dev/console."`
	Initramfs string   `yaml:"initramfs" check:"initramfs" default:"slipway" example:"distro" doc:"Initramfs: slipway's own, the distribution's (for LUKS, LVM and RAID), or none."`
	RAM       string   `yaml:"ram" check:"ramroot" default:"squashfs" example:"cpio" doc:"What the root of a machine in RAM is: squashfs or erofs (compressed, with an overlay), cpio (the whole system unpacked), or init (the init program and the files of the definition alone)."`
	Timeout   int      `yaml:"timeout" check:"count" default:"0; 3 with several kernels" example:"3" doc:"Seconds that the menu of the loader waits."`
}

// VM is what only virtual machines need.
type VM struct {
	CPUs      int      `yaml:"cpus" check:"positive" default:"2" example:"4" doc:"Virtual processors."`
	Pin       []int    `yaml:"pin" check:"count" default:"none" example:"[10, 11]" doc:"Host processors that the virtual ones run on."`
	CPU       string   `yaml:"cpu" check:"word" default:"the host's under KVM, all features otherwise" example:"host" doc:"Model of the processors, by QEMU's name."`
	Memory    Size     `yaml:"memory" default:"1G, or what a root in RAM needs" example:"2G" doc:"Memory."`
	Bus       string   `yaml:"bus" check:"diskbus" default:"virtio" example:"nvme" doc:"How disks are attached: virtio, ahci, nvme or scsi."`
	Serial    string   `yaml:"serial" check:"serial" default:"the machine's name" example:"S5GXNG0N" doc:"Serial number of the first disk."`
	Disks     []VMDisk `yaml:"disks" default:"none" doc:"Further disks."`
	NICs      []NIC    `yaml:"nics" default:"one" doc:"Network cards, all in the lab."`
	TPM       bool     `yaml:"tpm" default:"false" example:"true" doc:"Give the machine a TPM 2.0."`
	Bridge    string   `yaml:"bridge" check:"word" example:"kvmbr0" doc:"Bridge of the host that an exported machine is attached to."`
	Autostart bool     `yaml:"autostart" default:"false" example:"true" doc:"An exported machine starts with its host."`
}

// VMDisk is a further disk of a virtual machine.
type VMDisk struct {
	Size   Size     `yaml:"size" example:"10G" doc:"Size of an empty disk."`
	File   string   `yaml:"file" check:"hostpath" path:"host" example:"./data.raw" doc:"Disk image or block device on the host; the machine writes to it."`
	Serial string   `yaml:"serial" check:"serial" example:"WD-1234" doc:"Serial number."`
	Bus    string   `yaml:"bus" check:"diskbus" default:"virtio" example:"ahci" doc:"How it is attached."`
	Slot   string   `yaml:"slot" check:"pcislot" default:"the next free one" example:"05.0" doc:"PCI slot, so that by-path names match real hardware."`
	Pos    Position `yaml:"-"`
}

// NIC is a network card of a virtual machine.
type NIC struct {
	MAC   string `yaml:"mac" check:"mac" default:"derived from the machine's name, 52:54:00:..." example:"\"52:54:00:04:04:03\"" doc:"Hardware address."`
	Model string `yaml:"model" check:"nicmodel" default:"virtio" example:"e1000e" doc:"Model: virtio, e1000e, e1000, igb, rtl8139."`
	Slot  string `yaml:"slot" check:"pcislot" default:"the next free one" example:"03.0" doc:"PCI slot."`
}

// Share shows a folder of the host in the machine, on every target.
type Share struct {
	Host     string   `yaml:"host" required:"true" check:"hostpath" path:"host" example:"./shared" doc:"Folder on the host."`
	Path     string   `yaml:"path" required:"true" check:"abspath" example:"/srv/shared" doc:"Where it is mounted in the machine."`
	ReadOnly bool     `yaml:"read_only" default:"false" example:"true" doc:"The machine cannot write to it."`
	Pos      Position `yaml:"-"`
}
