package boot

import (
	"context"
	"io"
	"os/exec"

	"slipway/internal/bootfiles"
	"slipway/internal/image"
	"slipway/internal/image/uki"
	"slipway/internal/machine"
	"slipway/internal/tree"
)

// Target is what is booted.
type Target string

// The targets. A virtual machine that is started by its kernel runs from the
// same disk as one that its firmware starts.
const (
	Disk Target = "disk" // firmware and loader from a disk
	VM   Target = "vm"   // kernel and initramfs given, root on the disk
	RAM  Target = "ram"  // kernel and initramfs given, root in them

	// Net is a kernel and an initramfs that has drivers for network cards and
	// disks, and no root: whoever adds a program to it decides what it does.
	// NetRoot is the same beside the root that it would fetch.
	Net     Target = "net"
	NetRoot Target = "netroot"
	// Stick is a disk with nothing but loaders, and the kernel and initramfs of
	// Net (Request.Stick).
	Stick Target = "stick"
)

// Partition is one partition of a disk that is laid out.
type Partition struct {
	machine.Partition // of a filled layout
	// UUID is that of the file system as blkid prints it: 8-4-4-4-12, or
	// ABCD-1234 for a FAT; empty where a file system has none.
	UUID string
	// PartUUID is that of the partition, in lower case; empty without a table.
	PartUUID string
}

// Tools runs foreign programs, and finds files that come with them; package
// tools implements it.
type Tools interface {
	Command(ctx context.Context, set, program string, args ...string) (*exec.Cmd, error)
	Path(ctx context.Context, set, name string) (string, error)
}

// Planner lays out a file system of a kind, as the format's own Plan does.
type Planner func(ctx context.Context, filesystem string, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (image.Volume, error)

// Request is what Assemble makes bootable.
type Request struct {
	Definition *machine.Definition
	Manifest   *tree.Manifest // the bootable tree; it is not changed
	Content    tree.Content
	Target     Target
	Table      string      // of the disk: gpt, msdos, hybrid or none
	Sector     int         // bytes of a sector of the disk; 0: 512
	Partitions []Partition // in their order on the disk; none for RAM
	Helper     []byte      // the guest helper for the machine's architecture
	Mint       []bootfiles.Mint
	Tools      Tools   // needed for GRUB when the tree does not bring it
	Plan       Planner // needed for RAM roots of squashfs and erofs
	Cache      Cache   // may be nil
	Epoch      int64   // time of what is added, in seconds
	HostRoot   string  // where the host's kernel is looked for; empty: /
	Stick      *StickMenu
}

// StickMenu is what a stick starts.
type StickMenu struct {
	// Wrap makes the whole initramfs of that of the machine.
	Wrap    func(machine []byte) ([]byte, error)
	Timeout int // seconds that the menu waits; the first entry is the default
	Entries []StickEntry
}

// StickEntry is a line of the menu.
type StickEntry struct {
	Title   string
	Cmdline func(machine string) string // from the machine's own words
}

// Result is a bootable machine.
type Result struct {
	// Trees are the contents of the partitions of the request, by index; nil
	// for those that hold no files. Without partitions there is one: the root.
	Trees   []*tree.Manifest
	Content tree.Content // of all Trees

	// BIOS is GRUB for the first sectors of the disk; nil without it.
	BIOS *GRUB

	// Kernel, Initrd and Cmdline start the machine without a loader. Initrd
	// is nil if the kernel needs none.
	Kernel  *Payload
	Initrd  *Payload
	Cmdline string
	// Root is the image of a root that is fetched (NetRoot); nil elsewhere.
	Root *Payload

	// Memory is the least memory of the machine in bytes, as far as it follows
	// from a root in RAM; 0 elsewhere.
	Memory int64

	Kernels  []string // versions, the default first
	Warnings []string // for people

	efi func(context.Context) (*uki.Image, error)
}

// Payload is a file that is written when it is needed. Write gives the same
// bytes each time. Size is -1 as long as nobody wrote it, if it is compressed
// on the way.
type Payload struct {
	Size  int64
	Write func(ctx context.Context, w io.Writer) error
}
