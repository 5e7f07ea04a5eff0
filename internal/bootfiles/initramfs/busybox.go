package initramfs

import (
	"encoding/binary"
	"io/fs"

	"slipway/internal/bootfiles/cpio"
)

// maxBusybox keeps an initramfs small, in bytes.
const maxBusybox = 3 << 20

// writeBusybox takes along a busybox of the machine for the emergency shell,
// if it has one that runs without libraries.
func writeBusybox(a *cpio.Writer, root fs.FS) error {
	for _, file := range []string{"usr/bin/busybox.static", "usr/bin/busybox", "bin/busybox.static", "bin/busybox"} {
		data, err := fs.ReadFile(root, file)
		if err != nil || len(data) > maxBusybox || !static(data) {
			continue
		}
		a.File("bin/busybox", 0o755, data)
		return a.Symlink("bin/sh", "busybox")
	}
	return nil
}

// static tells whether a 64-bit ELF program asks for no interpreter.
func static(elf []byte) bool {
	const header, segment, interp = 64, 56, 3
	if len(elf) < header || string(elf[:5]) != "\x7fELF\x02" || elf[5] != 1 {
		return false
	}
	off := binary.LittleEndian.Uint64(elf[32:])
	count := int(binary.LittleEndian.Uint16(elf[56:]))
	if off > uint64(len(elf)) || uint64(count*segment) > uint64(len(elf))-off {
		return false
	}
	for i := range count {
		if binary.LittleEndian.Uint32(elf[off+uint64(i*segment):]) == interp {
			return false
		}
	}
	return true
}
