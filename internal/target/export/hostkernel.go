package export

import (
	"errors"
	"os"
	"path/filepath"

	"slipway/internal/machine"
)

// kernelLinks are the names that distributions keep for the newest kernel and
// its initramfs. What they name may change: they are followed at every start.
var kernelLinks = []struct {
	kernel  string
	initrds []string
}{
	{"boot/vmlinuz-current", []string{"boot/initramfs-current", "boot/initrd-current"}},
	{"vmlinuz", []string{"initrd.img"}},
	{"boot/vmlinuz", []string{"boot/initrd.img", "boot/initramfs", "boot/initrd"}},
	{"boot/vmlinuz-linux", []string{"boot/initramfs-linux.img"}},
	{"boot/vmlinuz-lts", []string{"boot/initramfs-lts"}},
}

// hostLinks finds the names of the host's own kernel and initramfs below a
// root folder. An empty initrd: there is none.
func hostLinks(root string) (kernel, initrd string, err error) {
	for _, l := range kernelLinks {
		kernel = filepath.Join(root, l.kernel)
		if _, err := os.Stat(kernel); err != nil {
			continue
		}
		for _, name := range l.initrds {
			if initrd = filepath.Join(root, name); exists(initrd) {
				return kernel, initrd, nil
			}
		}
		return kernel, "", nil
	}
	return "", "", errors.New("this host keeps no link to its newest kernel (/boot/vmlinuz-current, /vmlinuz or /boot/vmlinuz): " +
		"make one, or name the files with kernel: {file: ..., initrd: ...}")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// outside are the kernel and the initramfs that the definition takes from the
// host, by the names that it gives them; empty where they come with the machine.
func outside(k machine.Kernel, root string) (kernel, initrd string, err error) {
	switch {
	case k.File != "":
		return k.File, k.Initrd, nil
	case k.Package == "host":
		return hostLinks(root)
	}
	return "", "", nil
}
