package export

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slipway/internal/image/disk"
	"slipway/internal/image/partition"
	"slipway/internal/machine"
	"slipway/internal/target/qemu"
)

// Guest is a machine as libvirt is to start it. Paths are those of the host
// that will run it.
type Guest struct {
	Definition *machine.Definition
	Disk       File   // the first disk; no path: none
	Extra      []File // for each of vm.disks
	// Firmware is "" to start the kernel directly, or uefi or bios to let the
	// disk's loader do it.
	Firmware                string
	Kernel, Initrd, Cmdline string
	Emulate                 bool  // without KVM
	Memory                  int64 // bytes that it needs at least; 0: not known
}

// File is a disk image, or a block device.
type File struct {
	Path   string
	Format string // raw or qcow2
	Block  bool   // a device
}

// space names our element in a domain's metadata.
const space = "urn:slipway:export"

// defaultMemory is that of the vm target.
const defaultMemory = 1 << 30

// Domain is the description that `virsh define` takes.
func Domain(g *Guest) ([]byte, error) {
	d := &domain{
		Type: "kvm", Name: g.Definition.Name, UUID: partition.GUID(disk.UUID(g.Definition.Name, "libvirt")).String(),
		Memory: amount{"KiB", g.memory() >> 10}, VCPU: g.vcpus(), CPUTune: g.tune(), OS: g.os(),
		Clock: clock{"utc"}, OnPoweroff: "destroy", OnReboot: "restart", OnCrash: "destroy",
	}
	d.Metadata.Export = exported{Space: space, System: g.Definition.System, Autostart: yesNo(g.Definition.VM.Autostart)}
	if g.Emulate {
		d.Type = "qemu"
	}
	if g.Definition.Arch != "arm64" {
		d.Features = &features{ACPI: &struct{}{}, APIC: &struct{}{}}
	}
	if slices.ContainsFunc(g.Definition.Shares, func(s machine.Share) bool { return !s.ReadOnly }) {
		d.MemoryBacking = &memoryBacking{Source: typed{"memfd"}, Access: access{"shared"}}
	}
	var err, wrong error
	d.CPU, err = g.cpu()
	d.Devices, wrong = g.devices()
	if err = errors.Join(err, wrong); err != nil {
		return nil, fmt.Errorf("describing %s for libvirt: %w", g.Definition.Name, err)
	}
	var out bytes.Buffer
	enc := xml.NewEncoder(&out)
	enc.Indent("", "  ")
	if err := enc.Encode(d); err != nil {
		return nil, fmt.Errorf("describing %s for libvirt: %w", g.Definition.Name, err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (g *Guest) memory() int64 {
	if m := int64(g.Definition.VM.Memory); m > 0 {
		return m
	}
	return max(defaultMemory, g.Memory)
}

// vcpus bounds the processors to those that they are pinned to.
func (g *Guest) vcpus() vcpu {
	vm := g.Definition.VM
	v := vcpu{Placement: "static", Count: vm.CPUs}
	if v.Count == 0 {
		v.Count = 2
	}
	v.CPUSet = ranges(vm.Pin)
	return v
}

// tune gives each processor one of the host's, as the vm target does.
func (g *Guest) tune() *cpuTune {
	if len(g.Definition.VM.Pin) == 0 {
		return nil
	}
	t := &cpuTune{}
	for i, p := range g.Definition.VM.Pin {
		t.Pins = append(t.Pins, vcpuPin{i, strconv.Itoa(p)})
	}
	return t
}

// ranges writes numbers as libvirt's sets: 1,4-6.
func ranges(list []int) string {
	list = slices.Compact(slices.Sorted(slices.Values(list)))
	var out []string
	for i := 0; i < len(list); {
		end := i
		for end+1 < len(list) && list[end+1] == list[end]+1 {
			end++
		}
		text := strconv.Itoa(list[i])
		if end > i {
			text += "-" + strconv.Itoa(list[end])
		}
		out, i = append(out, text), end+1
	}
	return strings.Join(out, ",")
}

func (g *Guest) os() domainOS {
	o := domainOS{Type: osType{Arch: "x86_64", Machine: "q35", Value: "hvm"}}
	if g.Definition.Arch == "arm64" {
		o.Type.Arch, o.Type.Machine = "aarch64", "virt"
	}
	if g.Firmware == "uefi" {
		o.Firmware = "efi"
	}
	if g.Firmware == "" {
		o.Kernel, o.Initrd, o.Cmdline = g.Kernel, g.Initrd, g.Cmdline
		return o
	}
	o.Boot = &bootDev{"hd"}
	if g.Firmware == "bios" {
		o.BIOS = &bios{"yes"}
	}
	return o
}

// cpu is the host's own under KVM and everything that can be emulated without,
// unless the definition names a model as QEMU does.
func (g *Guest) cpu() (cpu, error) {
	switch name := g.Definition.VM.CPU; {
	case name == "" && g.Emulate || name == "max":
		return cpu{Mode: "maximum"}, nil
	case name == "host" && g.Emulate:
		return cpu{}, fmt.Errorf("%s: without KVM there is no host processor: name a model, or leave it out", g.Definition.At("vm.cpu"))
	case name == "" || name == "host":
		return cpu{Mode: "host-passthrough"}, nil
	default:
		return cpu{Mode: "custom", Match: "exact", Model: &cpuModel{"forbid", name}}, nil
	}
}

func (g *Guest) devices() (devices, error) {
	dev := devices{
		Serial:  serial{Type: "pty"},
		Console: console{Type: "pty", Target: consoleTarget{Type: "serial"}},
		Channel: channel{Type: "unix", Target: channelTarget{Type: "virtio", Name: qemu.AgentPort}},
		RNG:     rng{Model: "virtio", Backend: rngBackend{Model: "random", Path: "/dev/urandom"}},
	}
	if g.Definition.VM.TPM {
		dev.TPM = &tpm{Model: "tpm-crb", Backend: tpmBackend{Type: "emulator", Version: "2.0"}}
		if g.Definition.Arch == "arm64" {
			dev.TPM.Model = "tpm-tis"
		}
	}
	for i, s := range g.Definition.Shares {
		dev.Filesystems = append(dev.Filesystems, shared(i, s))
	}
	dev.Interfaces = g.cards()
	var err error
	dev.Disks, err = g.disks()
	if slices.ContainsFunc(dev.Disks, func(d diskDevice) bool { return d.Target.Bus == "scsi" }) {
		dev.Controllers = append(dev.Controllers, controller{Type: "scsi", Model: "virtio-scsi"})
	}
	return dev, err
}
