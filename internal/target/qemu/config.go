// Package qemu runs one virtual machine: it turns a Config into a QEMU process
// with its helpers, talks to it, and tells how it ended.
//
//	vm, err := qemu.Start(ctx, qemu.Config{
//		Programs: tools, Name: "web", Memory: 512 << 20, CPUs: 2,
//		Boot:  qemu.Boot{Kernel: kernel, Initrd: initrd, Cmdline: "console=ttyS0"},
//		Disks: []qemu.Disk{{Path: "web.raw", Format: "raw"}},
//	})
//	go io.Copy(log, vm.Console)
//	err = vm.Wait()
//
// It is the level of processes: it knows neither definitions nor probes nor
// what runs in the guest. Who supervises the machine, what it is called in the
// lab and which disks it has is decided above. Networks are made by package
// link, the protocol is spoken by package qmp.
package qemu

import (
	"context"
	"net"
	"os"
	"os/exec"
)

// Programs gives QEMU and what belongs to it; *tools.Tools is one. Sets are
// "qemu", "qemu-arm", "uboot", "virtiofsd" and "swtpm".
type Programs interface {
	// Command readies a program of a set.
	Command(ctx context.Context, set, program string, args ...string) (*exec.Cmd, error)
	// Path is where a file of a set lies that Debian has at the given path.
	Path(ctx context.Context, set, name string) (string, error)
}

// Config is one machine. The zero value of what is optional is a good default.
type Config struct {
	Programs Programs
	Name     string // of the machine; MAC addresses derive from it
	Arch     string // "amd64" (default) or "arm64"
	RunDir   string // folder of ours alone for sockets and variables; needed by shares, UEFI and TPM

	Accel  *Accel // what Accelerator found; nil: decided by Start, and not remembered
	CPU    string // QEMU's -cpu; default: everything that works
	CPUs   int    // default 1
	Pin    []int  // host processor of each virtual one
	Memory int64  // bytes; default 512 MiB
	// Huge and odd CPUs of old QEMU: keep cmpxchg16b although version 7.2
	// emulates it wrongly, because the guest needs x86-64-v2.
	KeepCX16 bool

	Boot   Boot
	Disks  []Disk
	NICs   []NIC
	Shares []Share
	TPM    string // folder of the TPM's state; "" without one

	ConsoleLog string // file to which QEMU appends everything that the serial port prints
	SMBIOS     SMBIOS
	OEMStrings []string // SMBIOS type 11, such as io.systemd.credential:NAME=VALUE
	Paused     bool     // do not let the guest run yet; see VM.Continue
	NoReboot   bool     // a reset by the guest ends the machine
	NoAgent    bool     // no port slipway.agent
	Extra      []string // further arguments, for experiments
}

// SMBIOS is what the firmware tells of the computer; empty fields are QEMU's.
type SMBIOS struct{ UUID, Serial, Asset string }

// Boot says what the machine starts.
type Boot struct {
	// Firmware is "" (SeaBIOS, with nothing on the serial port), "bios"
	// (SeaBIOS, on the serial port), "uefi" or "uboot".
	Firmware string
	Kernel   string // started directly; "": the firmware looks at the disks
	Initrd   string
	Cmdline  string
	// Network limits what UEFI tries on a card that is in the boot order: "pxe"
	// or "http", each by IPv4 alone. "" leaves it to the firmware.
	Network string
	// Vars is the file of UEFI variables, made from the firmware's template
	// when it is missing; default: in RunDir.
	Vars string
}

// Disk is one disk.
type Disk struct {
	Path      string
	Format    string // "raw" (default) or "qcow2"
	Bus       string // "virtio" (default), "ahci", "nvme", "scsi" or "usb"
	Serial    string // at most 20 bytes
	Sector    int    // bytes: 512 (default) or 4096
	Boot      int    // place in the boot order, from 1; 0: not in it
	Slot      string // PCI address, see Slot; virtio and nvme only
	ReadOnly  bool
	Ephemeral bool // what is written needs not survive the host: never wait for its disk
}

// NIC is one network card. Exactly one of Tap and Stream is set, or none for
// a card without a cable.
type NIC struct {
	MAC    net.HardwareAddr // default: MAC(Config.Name, index)
	Model  string           // "virtio" (default) or "e1000e"
	Slot   string           // PCI address, see Slot
	Tap    *os.File         // of a tap device; Start takes it over
	Stream *os.File         // a connected stream socket, see package link; Start takes it over
	Boot   int              // place in the boot order, from 1: the card's boot ROM is offered
	NoROM  bool             // the firmware boots it with a driver of its own
}

// Share is a host folder that the guest may mount by its tag.
type Share struct {
	Tag      string // at most 36 bytes
	Path     string
	ReadOnly bool
	// Owner is the id, of user and group alike, by which the guest's root goes
	// into the folder, as seen from this process: in a user namespace the one
	// that stands for the caller. virtiofs only.
	Owner int
	// Type is "virtiofs", "9p", or "" for virtiofs where its server can be
	// had, and 9p otherwise. VM.Shares tells what it became.
	Type string
}

// AgentPort is the name of the virtio-serial port for the agent.
const AgentPort = "slipway.agent"

// defaults fills in what was left out.
func (c Config) defaults() Config {
	if c.Arch == "" {
		c.Arch = "amd64"
	}
	if c.CPUs == 0 {
		c.CPUs = 1
	}
	if c.Memory == 0 {
		c.Memory = 512 << 20
	}
	c.Disks = append([]Disk(nil), c.Disks...)
	for i := range c.Disks {
		d := &c.Disks[i]
		d.Format, d.Bus = or(d.Format, "raw"), or(d.Bus, "virtio")
		if d.Sector == 0 {
			d.Sector = 512
		}
	}
	c.NICs = append([]NIC(nil), c.NICs...)
	for i := range c.NICs {
		n := &c.NICs[i]
		n.Model = or(n.Model, "virtio")
		if n.MAC == nil {
			n.MAC = MAC(c.Name, i)
		}
	}
	c.Shares = append([]Share(nil), c.Shares...)
	return c
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// set is the set of tools that holds this machine's QEMU.
func (c *Config) set() string {
	if c.Arch == "arm64" {
		return "qemu-arm"
	}
	return "qemu"
}

func (c *Config) program() string {
	if c.Arch == "arm64" {
		return "qemu-system-aarch64"
	}
	return "qemu-system-x86_64"
}
