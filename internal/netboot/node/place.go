package node

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"slipway/internal/target/metal"
)

// place finds out where a disk hangs, and the names that udev would give it
// below /dev/disk (systemd's path_id and 60-persistent-storage.rules): nobody
// makes these links in an initramfs.
func (s *Scanner) place(k *Disk, device string) {
	pci := pciOf(device)
	if pci == "" {
		return
	}
	k.Path = filepath.Base(pci)
	prefix := "pci-" + k.Path
	rest := strings.TrimPrefix(device, pci)
	switch {
	case strings.HasPrefix(k.Name, "vd"):
		k.Bus, k.ByPath = "virtio", prefix
		k.id("virtio", k.Serial)
	case strings.HasPrefix(k.Name, "nvme"):
		k.Bus = "nvme"
		nsid := text(s.at("sys", "class/block", k.Name, "nsid"))
		k.ByPath = prefix + "-nvme-" + nsid
		k.id("nvme", k.Model, k.Serial)
		k.id("nvme", text(s.at("sys", "class/block", k.Name, "wwid")))
		k.Link = strings.TrimSpace(text(filepath.Join(pci, "current_link_speed")) + " x" + text(filepath.Join(pci, "current_link_width")))
	case strings.Contains(rest, "/usb"):
		k.Bus = "usb"
		if m := usbPart.FindAllStringSubmatch(rest, -1); m != nil {
			last := m[len(m)-1]
			k.ByPath = prefix + "-usb-0:" + last[1] + "-scsi-" + scsiAddress(rest)
		}
		k.id("usb", text(filepath.Join(device, "vendor")), k.Model, k.Serial+"-"+usbLUN(rest))
	case strings.Contains(rest, "/ata"):
		k.Bus = "ahci"
		k.ata(rest, prefix, device)
	default:
		k.Bus = "scsi"
		k.ByPath = prefix + "-scsi-" + relativeSCSI(pci, rest)
	}
	k.wwn(device)
}

var (
	usbPart  = regexp.MustCompile(`/(?:usb\d+/)?[\d.-]*?-?([\d.]+:\d+\.\d+)(?:/|$)`)
	scsiPart = regexp.MustCompile(`/(\d+):(\d+):(\d+):(\d+)(?:/|$)`)
	ataPart  = regexp.MustCompile(`/ata(\d+)(?:/|$)`)
)

// id adds a name of by-id, from its kind and what is known of the disk.
func (k *Disk) id(kind string, words ...string) {
	var parts []string
	for _, w := range words {
		if w = strings.Join(strings.Fields(w), "_"); w != "" {
			parts = append(parts, w)
		}
	}
	if len(parts) == len(words) && !slices.Contains(k.ByID, kind+"-"+strings.Join(parts, "_")) {
		k.ByID = append(k.ByID, kind+"-"+strings.Join(parts, "_"))
	}
}

// ata places a disk behind a port of a SATA or IDE controller. Its whole model
// stands in the page of the ATA information (SAT-3, 12.4.2), where sysfs shows
// sixteen bytes of it.
func (k *Disk) ata(rest, prefix, device string) {
	m := ataPart.FindStringSubmatch(rest)
	if m == nil {
		return
	}
	port := m[1]
	if n := number(filepath.Join(strings.TrimSuffix(device, rest), "ata"+port, "ata_port", "ata"+port, "port_no")); n > 0 {
		port = strconv.FormatInt(n, 10)
	}
	k.ByPath = prefix + "-ata-" + port
	if target := scsiPart.FindStringSubmatch(rest); target != nil && target[3] != "0" {
		k.ByPath += "." + target[3]
	}
	model := k.Model
	if page, err := os.ReadFile(filepath.Join(device, "vpd_pg89")); err == nil && len(page) >= 60+512 {
		model = ataText(page[60+54 : 60+94])
	}
	k.id("ata", model, k.Serial)
	links, _ := filepath.Glob(filepath.Join(strings.TrimSuffix(device, rest), "ata"+m[1], "link*", "ata_link", "link*", "sata_spd"))
	if len(links) > 0 {
		k.Link = text(links[0])
	}
}

// ataText is text of IDENTIFY DEVICE: the bytes of each word are swapped.
func ataText(b []byte) string {
	out := slices.Clone(b)
	for i := 0; i+1 < len(out); i += 2 {
		out[i], out[i+1] = out[i+1], out[i]
	}
	return strings.TrimSpace(string(bytes.Trim(out, "\x00")))
}

// wwn adds the name after the disk's world wide name.
func (k *Disk) wwn(device string) {
	if naa, ok := strings.CutPrefix(text(filepath.Join(device, "wwid")), "naa."); ok {
		k.id("wwn", "0x"+naa)
		return
	}
	if page, err := os.ReadFile(filepath.Join(device, "vpd_pg83")); err == nil && len(page) >= 16 && page[5]&0xf == 3 && page[7] == 8 {
		k.id("wwn", "0x"+hex.EncodeToString(page[8:16]))
	}
}

func scsiAddress(rest string) string {
	m := scsiPart.FindAllStringSubmatch(rest, -1)
	if m == nil {
		return "0:0:0:0"
	}
	last := m[len(m)-1]
	return "0:" + strings.Join(last[2:], ":")
}

func usbLUN(rest string) string {
	m := scsiPart.FindAllStringSubmatch(rest, -1)
	if m == nil {
		return "0:0"
	}
	last := m[len(m)-1]
	return last[3] + ":" + last[4]
}

// relativeSCSI counts hosts from the first of the same controller, as udev
// does: the numbers themselves depend on the order of drivers.
func relativeSCSI(pci, rest string) string {
	m := scsiPart.FindAllStringSubmatch(rest, -1)
	if m == nil {
		return "0:0:0:0"
	}
	last := m[len(m)-1]
	host, _ := strconv.Atoi(last[1])
	lowest := host
	hosts, _ := filepath.Glob(filepath.Join(pci, "host*"))
	if len(hosts) == 0 {
		hosts, _ = filepath.Glob(filepath.Join(pci, "*", "host*")) // virtio has a device in between
	}
	for _, h := range hosts {
		if n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(h), "host")); err == nil {
			lowest = min(lowest, n)
		}
	}
	return fmt.Sprintf("%d:%s", host-lowest, strings.Join(last[2:], ":"))
}

// goes tells whether a selector names the disk.
func (k *Disk) goes(selector string) bool {
	if serial, ok := strings.CutPrefix(selector, "serial:"); ok {
		return serial != "" && serial == k.Serial
	}
	if name, ok := strings.CutPrefix(selector, "/dev/disk/by-id/"); ok {
		return slices.Contains(k.ByID, name)
	}
	if name, ok := strings.CutPrefix(selector, "/dev/disk/by-path/"); ok {
		// Newer systems write the device at an ATA port too, and the other way
		// round; virtio has a name of its own.
		return k.ByPath != "" && (name == k.ByPath || k.Bus == "ahci" && name == k.ByPath+".0" || k.Bus == "virtio" && name == "virtio-"+k.ByPath)
	}
	return false
}

// choose finds the one disk that a selector names. Without a selector a
// machine must have one disk alone, and removable ones do not count.
func (s *Scanner) choose(selector string) (*metal.Device, error) {
	var found []Disk
	all := s.disks()
	for _, k := range all {
		if selector != "" && k.goes(selector) || selector == "" && !k.Removable && k.Bus != "usb" && !s.isStick(k.Name) {
			found = append(found, k)
		}
	}
	switch {
	case len(found) == 1:
		return s.finder().Find(s.at("dev", found[0].Name))
	case selector == "" && len(found) > 1:
		return nil, fmt.Errorf("the machine has %d disks, and netboot.disk names none of them%s", len(found), here(all))
	case selector == "":
		return nil, fmt.Errorf("the machine shows no disk: a driver is missing, or its controller is switched off%s", here(all))
	case len(found) > 1:
		return nil, fmt.Errorf("netboot.disk: %s names %d disks%s", selector, len(found), here(all))
	}
	return nil, fmt.Errorf("no disk is %s (netboot.disk)%s", selector, here(all))
}

// isStick tells whether a disk is a recovery stick of ours.
func (s *Scanner) isStick(name string) bool {
	parts, _ := filepath.Glob(s.at("sys", "class/block", name, name+"*", "uevent"))
	for _, part := range parts {
		if strings.Contains("\n"+text(part)+"\n", "\nPARTNAME="+StickData+"\n") {
			return true
		}
	}
	return false
}

// here lists the disks for people.
func here(all []Disk) string {
	var words []string
	for _, k := range all {
		w := fmt.Sprintf("%s %d MiB", k.Name, k.Size>>20)
		if k.Serial != "" {
			w += " serial:" + k.Serial
		}
		if k.ByPath != "" {
			w += " /dev/disk/by-path/" + k.ByPath
		}
		words = append(words, w)
	}
	if len(words) == 0 {
		return "; it shows none at all"
	}
	return "; it has: " + strings.Join(words, "; ")
}
