package anaconda

import (
	"fmt"
	"strconv"
	"strings"
)

func (m *importer) ignoredisk(s *statement) {
	o, _ := s.options("only-use", "drives")
	m.chosen(s, o["only-use"])
}

func (m *importer) clearpart(s *statement) {
	o, _ := s.options("drives", "disklabel", "list")
	if t := o["disklabel"]; t == "gpt" || t == "msdos" {
		m.table = t
	}
	m.chosen(s, o["drives"])
}

// chosen takes a disk that is named for good; sda is another one tomorrow.
func (m *importer) chosen(s *statement, disk string) {
	if disk == "" || disk == m.target {
		return
	}
	first, more, _ := strings.Cut(disk, ",")
	if !strings.HasPrefix(first, "/dev/disk/by-") {
		if strings.HasPrefix(first, "disk/by-") {
			first = "/dev/" + first
		} else {
			m.warn(s, "names such as "+oneLine(first)+" change from boot to boot: set netboot.disk to serial:NUMBER or a path below /dev/disk")
			return
		}
	}
	if more != "" {
		m.warn(s, "a definition has one disk; the first is kept")
	}
	if first != m.target {
		m.target = first
	}
}

func (m *importer) autopart(s *statement) {
	o, _ := s.options("type", "fstype", "passphrase", "escrowcert")
	why := "slipway's own layout is taken: an ESP, a BIOS boot partition and a root that grows"
	if t := o["type"]; t == "plain" && len(o) == 1 {
		return
	}
	m.warn(s, why)
}

func (m *importer) part(s *statement) {
	o, rest := s.options("fstype", "size", "maxsize", "fsoptions", "label", "ondisk", "ondrive", "onpart", "usepart", "fsprofile", "mkfsoptions", "passphrase", "cipher", "hibernation")
	if len(rest) == 0 {
		m.warn(s, "it has no mount point")
		return
	}
	if disk := o["ondisk"] + o["ondrive"]; disk != "" && strings.Contains(disk, "disk/by-") {
		m.chosen(s, disk)
	}
	for _, no := range []string{"onpart", "usepart", "noformat", "encrypted", "asprimary", "recommended"} {
		if _, given := o[no]; given && no != "asprimary" && no != "recommended" {
			m.warn(s, "--"+no+" has no key")
			return
		}
	}
	line, why := m.partition(rest[0], o)
	if why != "" {
		m.warn(s, why)
		return
	}
	m.disk = append(m.disk, line)
}

// partition writes one item of disk.partitions, or says why it cannot.
func (m *importer) partition(mount string, o map[string]string) (line, why string) {
	fs := o["fstype"]
	use := "data"
	switch {
	case mount == "/":
		use = "root"
	case mount == "/boot":
		use = "boot"
	case mount == "/boot/efi":
		use, fs = "esp", ""
	case mount == "biosboot":
		use, fs = "bios", ""
	case mount == "swap":
		use, fs = "swap", ""
	case !strings.HasPrefix(mount, "/"):
		return "", "LVM, RAID and such have no key"
	}
	line = "use: " + use
	if fs != "" {
		line += ", filesystem: " + quote(fs)
	}
	_, grow := o["grow"]
	size, err := strconv.ParseInt(o["size"], 10, 32)
	if o["size"] != "" && (err != nil || size < 0) {
		return "", fmt.Sprintf("%q is no size in MiB", oneLine(o["size"]))
	}
	switch {
	case size > 0 && !(grow && use == "root"):
		line += fmt.Sprintf(", size: %dM", size)
	case use == "swap" && size == 0: // --recommended, --hibernation
		line += ", size: 2G"
	}
	if grow {
		line += ", grow: true"
	}
	if use == "data" {
		line += ", mount: " + quote(mount)
	}
	if options := o["fsoptions"]; options != "" && use != "esp" {
		line += ", options: " + quote(options)
	}
	if label := o["label"]; label != "" {
		line += ", label: " + quote(label)
	}
	return "{" + line + "}", ""
}

func (m *importer) bootloader(s *statement) {
	o, _ := s.options("append", "location", "timeout", "boot-drive", "driveorder", "password", "extlinux")
	for _, w := range strings.Fields(o["append"]) {
		m.cmdline = append(m.cmdline, w)
	}
	if t := o["timeout"]; t != "" {
		if n, err := strconv.Atoi(t); err == nil && n >= 0 {
			m.boot = append(m.boot, fmt.Sprintf("timeout: %d", n))
		}
	}
	if _, given := o["password"]; given {
		m.warn(s, "the password of the loader is not taken over")
	}
	if l := o["location"]; l == "none" || l == "partition" {
		m.warn(s, "the loader is where firmware finds it")
	}
}
