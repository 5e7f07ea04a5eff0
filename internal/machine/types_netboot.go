package machine

import "time"

// Netboot says how a machine starts and is installed over the network, and by
// what the boot server knows it. A definition without it is no machine of a
// fleet, but can be rehearsed (--on netboot) as one that boots into RAM.
type Netboot struct {
	Mode        string        `yaml:"mode" check:"netmode" default:"ram" example:"install" doc:"What the network gives the machine: ram (it runs from memory and leaves its disks alone) or install (it is written to its disk, once, and boots from there)."`
	Match       Match         `yaml:"match" doc:"By what the boot server knows the machine. Everything given must be right; of several hardware addresses one."`
	Address     string        `yaml:"address" check:"ipv4" default:"one of the server's pool" example:"192.0.2.17" doc:"IPv4 address that the boot server's DHCP keeps for the machine."`
	Disk        string        `yaml:"disk" check:"diskselector" default:"the only disk" example:"serial:S5GXNG0N" doc:"Disk that mode install writes: serial:NUMBER, or a path below /dev/disk/by-id or by-path; without it the machine must have one disk alone. In mode ram with initrd: small, the disk that keeps state: it must be empty at first, or hold this machine's state."`
	Initrd      string        `yaml:"initrd" check:"netinitrd" default:"whole" example:"small" doc:"How mode ram brings the system: whole (one initrd that holds all of it) or small (an initrd that fetches the root and checks it)."`
	Menu        time.Duration `yaml:"menu" default:"none is shown" example:"5s" doc:"How long the loader shows a menu before it takes the machine's own entry."`
	Default     string        `yaml:"default" check:"netentry" default:"what the mode says" example:"disk" doc:"The menu's own entry: auto (what the mode says), disk, install, ram, rescue or memtest. install still wants a grant."`
	Recover     bool          `yaml:"recover" default:"false" example:"true" doc:"In mode install: a machine whose disk was found empty is installed again without a grant."`
	ProveWithin time.Duration `yaml:"prove_within" default:"10m" example:"5m" doc:"In mode ram: a new version that has not proved itself by then is replaced by the last good one at the next boot."`
	Firmware    string        `yaml:"firmware" check:"firmware" default:"uefi" example:"bios" doc:"Firmware of the machine that rehearses it (--on netboot)."`
	Installer   *Installer    `yaml:"installer" doc:"In mode install: the distribution's own installer writes the machine, instead of slipway's image."`
	Power       *Power        `yaml:"power" doc:"How slipway wake turns the machine on, where it is no Wake-on-LAN packet."`
	Protocol    string        `yaml:"protocol" check:"netprotocol" default:"pxe" example:"http" doc:"How the firmware of the rehearsal fetches its loader: pxe (TFTP) or http (UEFI HTTP boot)."`
}

// Power is how a machine without a management controller is turned on. Without
// command and serial a Wake-on-LAN packet goes to the addresses of match.mac.
type Power struct {
	Command []string      `yaml:"command" check:"powerword" default:"none" example:"[/usr/local/bin/outlet, \"4\"]" doc:"Program that turns the machine on, with its arguments. It runs beside slipway and finds SLIPWAY_MACHINE, SLIPWAY_MAC and SLIPWAY_ACTION (on) in its environment."`
	Serial  string        `yaml:"serial" check:"abspath" example:"/dev/ttyS0" doc:"Serial port of slipway's host; one of its lines is wired to the machine's power button."`
	Line    string        `yaml:"line" check:"powerline" default:"dtr" example:"rts" doc:"Line of the serial port that presses the button: dtr or rts."`
	Hold    time.Duration `yaml:"hold" default:"500ms" example:"1s" doc:"How long the line presses the button."`
}

// Match is by what a boot server knows a machine.
type Match struct {
	MAC        OneOrMore `yaml:"mac" check:"mac" default:"none" example:"[\"52:54:00:04:04:03\"]" doc:"Hardware addresses of its network cards; a text or a list of them."`
	UUID       string    `yaml:"uuid" check:"uuid" example:"4c4c4544-0042-3510-8054-b9c04f4e4d32" doc:"System UUID as its firmware tells it (SMBIOS)."`
	Serial     string    `yaml:"serial" check:"netword" example:"5B5TNM2" doc:"Serial number of the computer (SMBIOS)."`
	Asset      string    `yaml:"asset" check:"netword" example:"rack3-17" doc:"Asset tag of the computer (SMBIOS)."`
	SwitchPort string    `yaml:"switch_port" check:"netword" example:"tor3/eth17" doc:"Switch port, as the relay writes it into option 82: the circuit id, or remote id and circuit id with a slash between."`
	Any        bool      `yaml:"any" default:"false" example:"true" doc:"Every machine that no other definition matches."`
}

// None tells whether nothing is said.
func (m *Match) None() bool {
	return len(m.MAC) == 0 && m.UUID == "" && m.Serial == "" && m.Asset == "" && m.SwitchPort == "" && !m.Any
}

// OneOrMore is a list of texts; in YAML one text stands for a list of one.
type OneOrMore []string

// RAM tells whether the network gives the machine a system that runs from
// memory; a definition that says nothing of the network is such a machine.
func (n *Netboot) RAM() bool { return n == nil || n.Mode != "install" }

// FirmwareName is the rehearsal's firmware.
func (n *Netboot) FirmwareName() string {
	if n == nil || n.Firmware == "" {
		return "uefi"
	}
	return n.Firmware
}

// HTTP tells whether the rehearsal's firmware fetches its loader by HTTP.
func (n *Netboot) HTTP() bool { return n != nil && n.Protocol == "http" }

// Small tells whether the system is fetched by a small initrd.
func (n *Netboot) Small() bool { return n != nil && n.Initrd == "small" }

// Patience is how long a new version has to prove itself.
func (n *Netboot) Patience() time.Duration {
	if n == nil || n.ProveWithin == 0 {
		return 10 * time.Minute
	}
	return n.ProveWithin
}

// Installer is a foreign installer that gets its answers from the definition.
type Installer struct {
	Kind     string   `yaml:"kind" check:"answers" default:"that of the system" example:"preseed" doc:"What answers it takes: preseed (debian-installer), kickstart (Anaconda), autoinstall (Ubuntu), nocloud (cloud-init), ignition (CoreOS, Flatcar) or alpine."`
	Kernel   *From    `yaml:"kernel" example:"./vmlinuz" doc:"Kernel of the installer, a file on the server."`
	Initrd   *From    `yaml:"initrd" example:"./initrd.img" doc:"Initramfs of the installer, a file on the server."`
	Image    string   `yaml:"image" check:"weburl" example:"https://repo.almalinux.org/almalinux/9/BaseOS/x86_64/os/" doc:"What the installer fetches for itself: Anaconda's tree (inst.repo), Ubuntu's live image, the root of CoreOS, Alpine's modloop."`
	Args     []string `yaml:"args" check:"cmdword" default:"none" example:"[inst.text]" doc:"Words added to the installer's command line."`
	Keyboard string   `yaml:"keyboard" check:"keyboard" default:"us" example:"ch" doc:"Keyboard layout that the installer sets, by its X name."`
}
