// Package bootfiles is the top of a small room that slipway and the guest
// helper share: what a machine needs to boot, made from a machine's tree.
// Slipway uses it when it makes an image, the helper when a new kernel is
// installed in the running machine, so that both make the same.
//
// The packages below it:
//
//	cpio       writer of the archive that the kernel unpacks
//	modules    kernel modules: dependencies, aliases, sets for targets
//	initramfs  the archive: helper, modules, configuration
//	cmdline    the kernel's command line
//	blockid    what a block device holds: file system, UUID, label
//	ptable     partition tables of a running machine, and their growth
//	entries    configuration of boot loaders
//	uki        unified kernel images
//	hook       what happens in a machine when a kernel comes or goes
//
// All of them import the standard library only. Decompressors and compressors
// that it lacks are handed in by the caller.
package bootfiles

import (
	"encoding/json"
	"fmt"
)

// Version of Config.
const Version = 1

// ConfigPath is where a Config lies: in the initramfs, and (without the
// leading slash of an initramfs) as HookPath in the machine.
const (
	ConfigPath = "slipway/boot.json"
	HookPath   = "etc/slipway/boot.json"
	HelperPath = "usr/lib/slipway/guest" // of the helper in a machine with a kernel hook
)

// Config says how a machine boots. It is written into the initramfs, where the
// helper reads it, and into the machine for its kernel hook.
type Config struct {
	Version int `json:"version"`

	// Read by the helper in the initramfs.

	Root   string   `json:"root,omitempty"` // used when the command line has no root=
	Init   []string `json:"init,omitempty"` // used when the command line has no init=; empty: what the tree has
	Load   []string `json:"load,omitempty"` // modules loaded in any case
	Grow   bool     `json:"grow,omitempty"` // extend the root partition and its file system to the disk's end
	Mint   []Mint   `json:"mint,omitempty"`
	Target string   `json:"target,omitempty"` // module set: vm or disk
	State  *State   `json:"state,omitempty"`  // what is kept of a machine in RAM; nil: nothing

	// Read by the kernel hook; the words are those of package entries.

	Title     string   `json:"title,omitempty"`
	Machine   string   `json:"machine,omitempty"`
	Cmdline   string   `json:"cmdline,omitempty"`
	Modules   []string `json:"modules,omitempty"`   // wanted beside the set
	Initramfs string   `json:"initramfs,omitempty"` // empty: ours; distro: made by another hook; none
	Loaders   []string `json:"loaders,omitempty"`   // systemd-boot, uki, grub, extlinux
	ESP       string   `json:"esp,omitempty"`       // mount point; empty: there is none
	Timeout   int      `json:"timeout,omitempty"`   // of the menu, in seconds
	Default   string   `json:"default,omitempty"`   // kernel that starts by itself; empty: the newest
	Place     string   `json:"place,omitempty"`     // where GRUB and u-boot find kernels
	UUID      string   `json:"uuid,omitempty"`      // of the file system at Place
	FDTDir    string   `json:"fdt_dir,omitempty"`
}

// Mint is something that every machine makes for itself at its first start.
type Mint struct {
	Path    string   `json:"path"`
	Needs   string   `json:"needs"`
	Command []string `json:"command"`
}

// Encode returns the bytes of the file.
func (c Config) Encode() ([]byte, error) {
	c.Version = Version
	data, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("encoding the boot configuration: %w", err)
	}
	return append(data, '\n'), nil
}

// Decode reads the bytes of the file.
func Decode(data []byte) (*Config, error) {
	var c Config
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("decoding the boot configuration: %w", err)
	}
	if c.Version != Version {
		return nil, fmt.Errorf("the boot configuration has version %d, this helper knows %d", c.Version, Version)
	}
	return &c, nil
}
