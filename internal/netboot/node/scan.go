package node

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"slipway/internal/target/metal"
)

// Scanner looks at a machine. The zero value looks at this one.
type Scanner struct {
	Sys, Dev, Proc string // defaults /sys, /dev, /proc
	Root           string // of the initramfs; default /
	BootMAC        string // of the card that the machine started from
	Log            func() []string
}

func (s *Scanner) at(names ...string) string {
	root := map[string]string{"sys": s.Sys, "dev": s.Dev, "proc": s.Proc, "root": s.Root}[names[0]]
	switch {
	case root == "" && names[0] == "root":
		root = "/"
	case root == "":
		root = "/" + names[0]
	}
	return filepath.Join(append([]string{root}, names[1:]...)...)
}

// text is a file of the kernel without its line's end; empty if it cannot be
// read.
func text(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.Trim(string(b), "\x00"))
}

func number(path string) int64 {
	n, _ := strconv.ParseInt(text(path), 10, 64)
	return n
}

// Hardware looks at everything.
func (s *Scanner) Hardware() *Hardware {
	id := func(name string) string { return known(text(s.at("sys", "class/dmi/id", name))) }
	h := &Hardware{
		Vendor: id("sys_vendor"), Product: id("product_name"), UUID: strings.ToLower(id("product_uuid")), Serial: id("product_serial"),
		Asset: id("chassis_asset_tag"), BIOS: strings.TrimSpace(id("bios_version") + " " + id("bios_date")), Firmware: "bios",
		NICs: s.nics(), Disks: s.disks(), NoDriver: s.noDriver(),
	}
	if _, err := os.Stat(s.at("sys", "firmware/efi")); err == nil {
		h.Firmware = "uefi"
		h.Secure = s.secureBoot()
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		h.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	s.processor(h)
	h.ECC = s.ecc()
	if s.Log != nil {
		h.MissingFirmware = missingFirmware(s.Log())
	}
	return h
}

// known leaves out what firmware writes where nobody filled something in.
func known(text string) string {
	switch strings.ToLower(strings.Trim(text, " .")) {
	case "", "not specified", "to be filled by o.e.m", "default string", "none", "n/a", "unknown", "no asset tag", "system serial number",
		"system product name", "system manufacturer", "0", "0123456789", "chassis asset tag", "asset-1234567890":
		return ""
	}
	return text
}

func (s *Scanner) secureBoot() bool {
	b, err := os.ReadFile(s.at("sys", "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"))
	return err == nil && len(b) == 5 && b[4] == 1
}

func (s *Scanner) processor(h *Hardware) {
	info, _ := os.ReadFile(s.at("proc", "cpuinfo"))
	for line := range strings.Lines(string(info)) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "processor":
			h.CPUs++
		case "model name":
			h.CPU = strings.TrimSpace(value)
		}
	}
	mem, _ := os.ReadFile(s.at("proc", "meminfo"))
	if f := strings.Fields(string(mem)); len(f) > 1 && f[0] == "MemTotal:" {
		kib, _ := strconv.ParseInt(f[1], 10, 64)
		h.Memory = kib << 10
	}
}

// ecc asks the tables of the firmware, then the memory controller's driver.
func (s *Scanner) ecc() string {
	table, _ := os.ReadFile(s.at("sys", "firmware/dmi/tables/DMI"))
	if kind := memoryCorrection(table); kind != "" {
		return kind
	}
	return text(s.at("sys", "devices/system/edac/mc/mc0/mc_name"))
}

// memoryCorrection is the error correction of the system's memory: a Physical
// Memory Array (type 16) whose use is system memory, SMBIOS 3.7, section 7.17.
func memoryCorrection(table []byte) string {
	for len(table) >= 4 && int(table[1]) >= 4 && int(table[1]) <= len(table) {
		length := int(table[1])
		if table[0] == 16 && length > 6 && table[5] == 3 {
			return map[byte]string{3: "none", 4: "parity", 5: "single-bit ECC", 6: "multi-bit ECC", 7: "CRC"}[table[6]]
		}
		end := bytes.Index(table[length:], []byte{0, 0}) // the structure's texts end so
		if end < 0 {
			break
		}
		table = table[length+end+2:]
	}
	return ""
}

// nics lists the cards that are hardware.
func (s *Scanner) nics() []NIC {
	out := []NIC{}
	dirs, _ := filepath.Glob(s.at("sys", "class/net/*"))
	for _, dir := range dirs {
		device, err := filepath.EvalSymlinks(filepath.Join(dir, "device"))
		if err != nil {
			continue // loopback, bridges
		}
		n := NIC{Name: filepath.Base(dir), MAC: text(filepath.Join(dir, "address")), Link: text(filepath.Join(dir, "carrier")) == "1"}
		n.Boot = n.MAC != "" && n.MAC == s.BootMAC
		if driver, err := os.Readlink(filepath.Join(device, "driver")); err == nil {
			n.Driver = filepath.Base(driver)
		}
		if pci := pciOf(device); pci != "" {
			n.Path, n.Model = filepath.Base(pci), pciModel(pci)
		}
		if speed := number(filepath.Join(dir, "speed")); speed > 0 {
			n.Speed = int(speed)
		}
		if s.Sys == "" {
			n.Firmware = nicFirmware(n.Name)
		}
		out = append(out, n)
	}
	return out
}

// nicFirmware asks the driver (ethtool -i).
func nicFirmware(name string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(unix.ByteSliceToString(info.Fw_version[:]))
}

// pciOf is the folder of the nearest PCI device at or above a device.
func pciOf(device string) string {
	for dir := device; len(dir) > 1; dir = filepath.Dir(dir) {
		if link, err := os.Readlink(filepath.Join(dir, "subsystem")); err == nil && filepath.Base(link) == "pci" {
			return dir
		}
	}
	return ""
}

func pciModel(dir string) string {
	vendor, device := text(filepath.Join(dir, "vendor")), text(filepath.Join(dir, "device"))
	if vendor == "" {
		return ""
	}
	return strings.TrimPrefix(vendor, "0x") + ":" + strings.TrimPrefix(device, "0x")
}

// noDriver lists network and storage devices that no driver took.
func (s *Scanner) noDriver() []string {
	var out []string
	dirs, _ := filepath.Glob(s.at("sys", "bus/pci/devices/*"))
	for _, dir := range dirs {
		class, _ := strconv.ParseUint(strings.TrimPrefix(text(filepath.Join(dir, "class")), "0x"), 16, 32)
		kind := map[uint64]string{1: "storage", 2: "network"}[class>>16]
		if _, err := os.Lstat(filepath.Join(dir, "driver")); kind != "" && err != nil {
			out = append(out, filepath.Base(dir)+" "+kind+" "+pciModel(dir))
		}
	}
	return out
}

// missingFirmware finds what the kernel's log says of firmware files.
func missingFirmware(log []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, line := range log {
		for _, mark := range []string{"Direct firmware load for ", "firmware: failed to load "} {
			_, rest, ok := strings.Cut(line, mark)
			name, _, _ := strings.Cut(rest, " ")
			if ok && name != "" && !seen[name] {
				seen[name] = true
				out = append(out, name)
			}
		}
	}
	return out
}

// disks lists the whole disks.
func (s *Scanner) disks() []Disk {
	out := []Disk{}
	all, _ := s.finder().Disks()
	for _, d := range all {
		if k, ok := s.disk(d); ok {
			out = append(out, k)
		}
	}
	return out
}

func (s *Scanner) finder() metal.Finder { return metal.Finder{Sys: s.Sys, Dev: s.Dev} }

// disk describes one; ok is false for what is no hardware.
func (s *Scanner) disk(d *metal.Device) (Disk, bool) {
	name := filepath.Base(d.Path)
	device, err := filepath.EvalSymlinks(s.at("sys", "class/block", name, "device"))
	if err != nil {
		return Disk{}, false // loop, device mapper
	}
	k := Disk{Name: name, Serial: d.Serial, Model: d.Model, Size: d.Size, Sector: d.Sector, Rotational: d.Rotational, Removable: d.Removable}
	if c, err := d.Contents(); err == nil && !c.Empty() {
		k.Holds = c.Lines()
	}
	s.place(&k, device)
	return k, true
}
