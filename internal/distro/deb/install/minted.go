package install

import (
	"path"
	"strings"

	"slipway/internal/distro/minted"
)

// removeMinted takes out what every machine must have of its own.
func (in *Installer) removeMinted() error {
	for _, kind := range minted.Kinds {
		for _, pattern := range kind.Remove {
			dir, base := path.Split(strings.TrimPrefix(pattern, "/"))
			names, err := in.root.list(path.Clean(dir))
			if err != nil {
				return err
			}
			for _, name := range names {
				if ok, _ := path.Match(base, name); !ok {
					continue
				}
				if err := in.root.removeAll(dir + name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
