package install

import (
	"bytes"
	"fmt"

	"slipway/internal/distro/apk/apkfile"
)

// save writes the database.
func (in *Installer) save(world string) error {
	in.db.world = world
	scripts, err := in.db.scriptsTar()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{worldFile, []byte(world)}, {installedFile, in.db.installed()}, {scriptsFile, scripts}, {triggersFile, in.db.triggersFile()},
	} {
		if err := in.root.Write(f.name, f.data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// scriptsTar keeps the scripts of all packages, for upgrades and removals: old
// tar headers with the field widths that apk writes.
func (db *database) scriptsTar() ([]byte, error) {
	var b bytes.Buffer
	for _, r := range db.packages {
		for _, kind := range apkfile.Scripts {
			data, ok := r.scripts[kind]
			if !ok {
				continue
			}
			name := r.ID() + "." + r.Identity + "." + kind
			if len(name) > 99 {
				return nil, fmt.Errorf("%s: the name of its script %s is longer than apk can keep", r.ID(), kind)
			}
			b.Write(tarHeader(name, len(data), r.BuildTime))
			b.Write(data)
			b.Write(make([]byte, -len(data)&511))
		}
	}
	b.Write(make([]byte, 1024))
	return b.Bytes(), nil
}

func tarHeader(name string, size int, mtime int64) []byte {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000755\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%012o%012o", size, mtime))
	copy(h[148:], "        0")
	copy(h[257:], "ustar  \x00root")
	copy(h[297:], "root")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}
