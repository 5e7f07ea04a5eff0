package boot

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/machine"
)

// imageRoots are file systems that are written once: the machine sees them
// below an overlay in memory.
var imageRoots = []string{"squashfs", "erofs"}

// Cmdline is the kernel's command line for a target: where the root is, the
// consoles in the order of the definition, what happens after a panic, and the
// words of the definition last, which win over those before them.
func (a *assembly) cmdline(k machine.Kernel) (string, error) {
	words, err := a.rootWords()
	if err != nil {
		return "", err
	}
	for _, c := range a.Definition.Consoles() {
		words = append(words, "console="+c)
	}
	if !slices.ContainsFunc(k.Cmdline, func(w string) bool { return strings.HasPrefix(w, "panic=") }) {
		words = append(words, "panic="+a.panicDelay())
	}
	if init := a.Definition.Init; strings.HasPrefix(init, "/") {
		words = append(words, "init="+init)
	}
	return strings.Join(append(words, k.Cmdline...), " "), nil
}

// panicDelay reboots a computer that nobody watches after a while, and ends a
// virtual machine at once.
func (a *assembly) panicDelay() string {
	if a.Target == VM {
		return "-1"
	}
	return "10"
}

func (a *assembly) rootWords() ([]string, error) {
	if a.Target == RAM {
		return a.ramWords(), nil
	}
	p, ok := a.partition("root")
	if !ok {
		return nil, fmt.Errorf("the disk has no root partition: add one with use: root")
	}
	words := []string{"root=" + a.rootName(p), "rootfstype=" + p.Filesystem}
	if slices.Contains(imageRoots, p.Filesystem) {
		return append(words, "ro", "slipway.overlay=tmpfs"), nil
	}
	if p.Options != "" && p.Options != "defaults" {
		if flags := kernelFlags(p.Options); flags != "" {
			words = append(words, "rootflags="+flags)
		}
	}
	if slices.Contains(strings.Split(p.Options, ","), "ro") {
		return append(words, "ro"), nil
	}
	return append(words, "rw"), nil
}

// rootName names the root in the way that fits who looks for it: the kernel
// itself knows partitions but no file systems.
func (a *assembly) rootName(p Partition) string {
	byFilesystem := p.UUID != "" && a.Definition.Boot.Initramfs != "none"
	switch {
	case byFilesystem:
		return "UUID=" + p.UUID
	case p.PartUUID != "":
		return "PARTUUID=" + p.PartUUID
	}
	return "/dev/" + map[string]string{"": "vda", "virtio": "vda", "nvme": "nvme0n1", "ahci": "sda", "scsi": "sda"}[a.Definition.VM.Bus]
}

// kernelFlags are the options of fstab that a file system itself understands.
func kernelFlags(options string) string {
	own := []string{"defaults", "noatime", "nodiratime", "relatime", "strictatime", "lazytime", "ro", "rw", "nosuid", "nodev", "noexec",
		"auto", "noauto", "nofail", "user", "users", "_netdev", "sync", "dirsync"}
	var keep []string
	for _, o := range strings.Split(options, ",") {
		if o != "" && !slices.Contains(own, o) && !strings.HasPrefix(o, "x-") {
			keep = append(keep, o)
		}
	}
	return strings.Join(keep, ",")
}
