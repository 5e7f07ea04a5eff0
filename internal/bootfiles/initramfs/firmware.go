package initramfs

import (
	"io/fs"
	"path"
	"strings"

	"slipway/internal/bootfiles/cpio"
	"slipway/internal/bootfiles/firmware"
)

// writeFirmware takes along what the modules that were asked for by name may
// ask for in turn: they are loaded before the machine's root is there.
func writeFirmware(a *cpio.Writer, root fs.FS, opt Options, s *selection, made map[string]bool) error {
	demands, err := firmware.Demands(root, s.tree, opt.Modules, opt.Decompress)
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for _, d := range demands {
		for _, file := range d.Found {
			name := "lib/firmware/" + strings.TrimPrefix(strings.TrimPrefix(file, "usr/"), "lib/firmware/")
			if done[name] {
				continue
			}
			done[name] = true
			data, err := fs.ReadFile(root, file)
			if err != nil {
				return err
			}
			makeParents(a, path.Clean(name), made)
			if err := a.File(name, 0o644, data); err != nil {
				return err
			}
		}
	}
	return nil
}
