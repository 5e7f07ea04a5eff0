// Package entries renders the configuration of boot loaders as text, and reads
// it back for checks: entries and loader.conf of systemd-boot (the Boot Loader
// Specification, type #1), a static grub.cfg, and extlinux.conf for u-boot.
//
// It knows where kernels lie for each loader, so that an image and the kernel
// hook of a running machine name the same files. It reads and writes no files
// itself, and its readers understand no more than what it renders, with the
// usual freedom of blanks and comments.
package entries

import (
	"fmt"
	"path"
	"strings"
)

// Where loaders find kernels.
const (
	InRoot = "root" // /boot of the root's file system
	InBoot = "boot" // a file system of its own, mounted at /boot
	InESP  = "esp"  // the EFI system partition
)

// Kernel is one line of the menu.
type Kernel struct {
	Version  string // uname -r
	Cmdline  string
	NoInitrd bool // boots without an initramfs
}

// Menu is all that the configuration of a loader says.
type Menu struct {
	Title   string // of the machine: Debian GNU/Linux 13 (trixie)
	Machine string // folder of the kernels on the ESP and first part of the names of entries; empty: slipway
	Timeout int    // seconds that the menu waits; 0: it is not shown
	// Default is the version that starts by itself; empty: the first kernel,
	// and for systemd-boot whichever is the newest.
	Default string
	Kernels []Kernel // in the order of the menu

	// Place is where GRUB finds kernels; empty: InRoot.
	Place string
	// UUID is that of the file system at Place, as GRUB prints it.
	UUID string
	// FDTDir is the folder of device trees for extlinux, with VERSION in place
	// of the kernel's version; empty: none.
	FDTDir string
}

// File is one file of a loader's configuration.
type File struct {
	ESP  bool   // on the EFI system partition, else in the machine's root
	Path string // without leading slash
	Data []byte
}

// Names of kernels and initramfs in the machine's root.
func Image(version string) string  { return "boot/vmlinuz-" + version }
func Initrd(version string) string { return "boot/initrd.img-" + version }

func (m *Menu) machine() string {
	if m.Machine == "" {
		return "slipway"
	}
	return m.Machine
}

// ESPDir is the folder of a kernel on the ESP, without leading slash.
func (m *Menu) ESPDir(version string) string { return m.machine() + "/" + version }

// ESPImage and ESPInitrd are the names of a kernel's files on the ESP.
func (m *Menu) ESPImage(version string) string  { return m.ESPDir(version) + "/linux" }
func (m *Menu) ESPInitrd(version string) string { return m.ESPDir(version) + "/initrd.img" }

// UKI is the name of a kernel's unified image on the ESP, where systemd-boot
// and other boot managers look for it.
func (m *Menu) UKI(version string) string {
	return "EFI/Linux/" + m.machine() + "-" + version + ".efi"
}

// EntryPath is the name of a systemd-boot entry on the ESP.
func (m *Menu) EntryPath(version string) string {
	return "loader/entries/" + m.machine() + "-" + version + ".conf"
}

// seen are the names of a kernel's files as GRUB or u-boot see them.
func (m *Menu) seen(version string) (image, initrd string) {
	switch m.Place {
	case InESP:
		return "/" + m.ESPImage(version), "/" + m.ESPInitrd(version)
	case InBoot:
		return "/" + path.Base(Image(version)), "/" + path.Base(Initrd(version))
	}
	return "/" + Image(version), "/" + Initrd(version)
}

// GrubDir is the folder of grub.cfg and of modules as GRUB sees it.
func (m *Menu) GrubDir() string {
	if m.Place == InBoot || m.Place == InESP {
		return "/grub"
	}
	return "/boot/grub"
}

func (m *Menu) title(k Kernel) string {
	name := m.Title
	if name == "" {
		name = "Linux"
	}
	if len(m.Kernels) > 1 {
		name += ", " + k.Version
	}
	return line(name)
}

// line keeps text from ending the line that it stands in.
func line(s string) string { return strings.Join(strings.Fields(s), " ") }

// Files renders the configuration for loaders: systemd-boot, uki (loader.conf
// alone), grub, extlinux; none gives nothing.
func (m *Menu) Files(loaders ...string) ([]File, error) {
	var all []File
	for _, l := range loaders {
		switch l {
		case "systemd-boot":
			all = append(all, m.SystemdBoot()...)
		case "uki":
			all = append(all, File{ESP: true, Path: "loader/loader.conf", Data: m.loaderConf("efi")})
		case "grub":
			all = append(all, m.GRUB())
		case "extlinux":
			all = append(all, m.Extlinux())
		case "none", "":
		default:
			return nil, fmt.Errorf("rendering the configuration of loaders: %q is unknown", l)
		}
	}
	return all, nil
}
