package qemu

import (
	"fmt"
	"strconv"
	"strings"
)

// wiring is what only a start knows: numbers of inherited descriptors, paths
// of firmware, and what the host can do.
type wiring struct {
	accel               Accel
	dirs                []string // where QEMU finds its data
	code, vars          string   // UEFI
	bios                string   // u-boot
	qmp, console, agent int
	nics                []int // per card; 0: no cable
	shares              []wire
	tpm                 int
}

// wire is how a shared folder reaches QEMU.
type wire struct {
	kind string // "virtiofs" or "9p"
	fd   int    // of virtiofs
}

// arguments is the whole command line. It is a function of its inputs alone.
func (c *Config) arguments(w *wiring) ([]string, error) {
	a := &args{c: c, w: w, slots: newSlots()}
	a.places()
	a.machine()
	a.firmware()
	a.channels()
	a.disks()
	a.nics()
	a.devices()
	a.shares()
	if a.err != nil {
		return nil, a.err
	}
	return append(append(append(a.head, a.slots.ports()...), a.tail...), c.Extra...), nil
}

// args collects a command line. The ports come between head and tail, because
// devices of the tail may be behind them.
type args struct {
	c          *Config
	w          *wiring
	slots      *slots
	head, tail []string
	nicAt      []string // PCI addresses, as properties
	diskAt     []string
	err        error
}

func (a *args) add(option, format string, values ...any) {
	a.head = append(a.head, option, fmt.Sprintf(format, values...))
}

func (a *args) device(format string, values ...any) {
	a.tail = append(a.tail, "-device", fmt.Sprintf(format, values...))
}

// slot finds a device's place: the one asked for, or the first free one of its
// kind.
func (a *args) slot(wish string, from int, who string) string {
	var s Slot
	var err error
	if wish != "" {
		s, err = a.slots.claim(wish, who)
	} else {
		s, err = a.slots.free(from, who)
	}
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("machine %s: %w", a.c.Name, err)
	}
	if wish != "" {
		return s.properties() + several
	}
	return s.properties()
}

// places gives cards and disks their PCI addresses: those that were asked for
// before the others.
func (a *args) places() {
	a.nicAt, a.diskAt = make([]string, len(a.c.NICs)), make([]string, len(a.c.Disks))
	for _, asked := range []bool{true, false} {
		for i, n := range a.c.NICs {
			if (n.Slot != "") == asked {
				a.nicAt[i] = a.slot(n.Slot, nicSlots, fmt.Sprintf("network card %d", i+1))
			}
		}
		for i, d := range a.c.Disks {
			if (d.Bus == "virtio" || d.Bus == "nvme") && (d.Slot != "") == asked {
				a.diskAt[i] = a.slot(d.Slot, diskSlots, fmt.Sprintf("disk %d", i+1))
			}
		}
	}
	if err := a.slots.complete(); err != nil && a.err == nil {
		a.err = fmt.Errorf("machine %s: %w", a.c.Name, err)
	}
}

// Where the devices of a kind begin, as long as nothing else is asked for.
const (
	nicSlots   = 0x02
	diskSlots  = 0x08
	otherSlots = 0x10
)

func (a *args) machine() {
	c := a.c
	a.add("-name", "guest=%s,process=slipway-%s,debug-threads=on", escape(c.Name), escape(c.Name))
	a.head = append(a.head, "-nodefaults", "-no-user-config", "-S")
	a.add("-display", "none")
	if a.w.accel.Sandbox {
		a.add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
	}
	for _, dir := range a.w.dirs {
		a.add("-L", "%s", dir)
	}
	machine := "q35,vmport=off,smm=off"
	if c.Arch == "arm64" {
		machine = "virt,gic-version=max"
	}
	if c.Boot.Firmware == "bios" {
		machine += ",graphics=off" // SeaBIOS then takes the serial port for its screen
	}
	if a.w.code != "" {
		machine += ",pflash0=code,pflash1=vars"
	}
	if c.sharesMemory(a.w) {
		machine += ",memory-backend=ram"
		a.add("-object", "memory-backend-memfd,id=ram,size=%d,share=on", c.Memory)
	}
	a.add("-machine", "%s,dump-guest-core=off", machine)
	a.add("-accel", "%s", a.w.accel.Name)
	a.add("-cpu", "%s", c.cpu(a.w.accel))
	a.add("-smp", "%d", c.CPUs)
	a.add("-m", "%dk", c.Memory>>10)
	a.add("-rtc", "base=utc")
	if c.NoReboot {
		a.head = append(a.head, "-no-reboot")
	}
}

// sharesMemory: a server of shared folders reads the guest's memory itself.
func (c *Config) sharesMemory(w *wiring) bool {
	for _, s := range w.shares {
		if s.kind == "virtiofs" {
			return true
		}
	}
	return false
}

// cpu is everything that works. QEMU 7.2 emulates cmpxchg16b wrongly, which
// panics guests that use it. Emulated, the string instructions that a kernel
// takes for fast ones are the slowest way to copy: a guest that does not see
// them starts in three quarters of the time.
func (c *Config) cpu(accel Accel) string {
	switch {
	case c.CPU != "":
		return c.CPU
	case c.Arch == "amd64" && accel.Name == "tcg" && accel.Major < 10 && !c.KeepCX16:
		return "max,-erms,-fsrm,-cx16"
	case c.Arch == "amd64" && accel.Name == "tcg":
		return "max,-erms,-fsrm"
	}
	return "max"
}

// ovmfNetwork are the parts of OVMF's network that are switched off. Each that
// nobody answers would cost a minute.
var ovmfNetwork = map[string][]string{
	"pxe":  {"IPv6PXESupport", "IPv6Support"},
	"http": {"IPv4PXESupport", "IPv6PXESupport", "IPv6Support"},
}

func (a *args) firmware() {
	b := a.c.Boot
	if a.w.code != "" {
		a.add("-blockdev", "%s", blockdev{Driver: "raw", Node: "code", ReadOnly: true, File: fileNode(a.w.code)}.json())
		a.add("-blockdev", "%s", blockdev{Driver: "raw", Node: "vars", File: fileNode(a.w.vars)}.json())
	}
	if a.w.bios != "" {
		a.add("-bios", "%s", a.w.bios)
	}
	if b.Kernel != "" {
		a.add("-kernel", "%s", b.Kernel)
	}
	if b.Initrd != "" {
		a.add("-initrd", "%s", b.Initrd)
	}
	if b.Cmdline != "" {
		a.add("-append", "%s", b.Cmdline)
	}
	a.add("-boot", "menu=off,strict=on")
	for _, name := range ovmfNetwork[b.Network] {
		a.add("-fw_cfg", "name=opt/org.tianocore/%s,string=n", name)
	}
	for _, s := range []struct{ form, value string }{
		{"type=1,uuid=%s", a.c.SMBIOS.UUID}, {"type=1,serial=%s", a.c.SMBIOS.Serial}, {"type=3,asset=%s", a.c.SMBIOS.Asset},
	} {
		if s.value != "" {
			a.add("-smbios", s.form, escape(s.value))
		}
	}
	for _, text := range a.c.OEMStrings {
		a.add("-smbios", "type=11,value=%s", escape(text))
	}
}

// channels are the ways to talk with QEMU and with the guest.
func (a *args) channels() {
	a.add("-chardev", "socket,id=qmp,fd=%d", a.w.qmp)
	a.add("-mon", "chardev=qmp,mode=control")
	log := ""
	if a.c.ConsoleLog != "" {
		log = ",logappend=on,logfile=" + escape(a.c.ConsoleLog)
	}
	a.add("-chardev", "socket,id=console,fd=%d%s", a.w.console, log)
	a.add("-serial", "chardev:console")
	if a.w.agent != 0 {
		a.add("-chardev", "socket,id=agent,fd=%d", a.w.agent)
		a.device("virtio-serial-pci,id=ports,max_ports=2,%s", a.slot("", otherSlots, "the agent's port"))
		a.device("virtserialport,bus=ports.0,chardev=agent,name=%s", AgentPort)
	}
}

func (a *args) devices() {
	a.head = append(a.head, "-object", "rng-random,id=random,filename=/dev/urandom")
	a.device("virtio-rng-pci,rng=random,%s", a.slot("", otherSlots+1, "the random numbers"))
	if a.c.Arch == "amd64" {
		a.device("pvpanic")
	}
	if a.w.tpm != 0 {
		model := "tpm-crb"
		if a.c.Arch == "arm64" {
			model = "tpm-tis-device"
		}
		a.add("-chardev", "socket,id=tpm,fd=%d", a.w.tpm)
		a.add("-tpmdev", "emulator,id=tpm0,chardev=tpm")
		a.device("%s,tpmdev=tpm0", model)
	}
}

func (a *args) nics() {
	for i, n := range a.c.NICs {
		model := map[string]string{"virtio": "virtio-net-pci", "e1000e": "e1000e"}[n.Model]
		text := fmt.Sprintf("%s,id=nic%d,mac=%s,%s", model, i, n.MAC, a.nicAt[i])
		if a.w.nics[i] != 0 {
			text += fmt.Sprintf(",netdev=net%d", i)
			if n.Stream != nil {
				a.add("-netdev", "stream,id=net%d,server=off,addr.type=fd,addr.str=%d", i, a.w.nics[i])
			} else {
				a.add("-netdev", "tap,id=net%d,fd=%d", i, a.w.nics[i])
			}
		}
		if n.Boot > 0 {
			text += ",bootindex=" + strconv.Itoa(n.Boot)
		}
		if n.Boot == 0 || n.NoROM {
			text += ",romfile="
		}
		a.device("%s", text)
	}
}

func (a *args) shares() {
	for i, s := range a.c.Shares {
		place := a.slot("", otherSlots+4, "shared folder "+s.Tag)
		if a.w.shares[i].kind == "virtiofs" {
			a.add("-chardev", "socket,id=share%d,fd=%d", i, a.w.shares[i].fd)
			a.device("vhost-user-fs-pci,chardev=share%d,tag=%s,%s", i, escape(s.Tag), place)
			continue
		}
		access := ""
		if s.ReadOnly {
			access = ",readonly=on"
		}
		a.add("-fsdev", "local,id=share%d,path=%s,security_model=none,multidevs=remap%s", i, escape(s.Path), access)
		a.device("virtio-9p-pci,fsdev=share%d,mount_tag=%s,%s", i, escape(s.Tag), place)
	}
}

// escape makes text a value in a list of QEMU's options.
func escape(text string) string { return strings.ReplaceAll(text, ",", ",,") }
