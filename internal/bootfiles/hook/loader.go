package hook

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Loader brings a newer systemd-boot of the machine to the ESP, in those
// places where one is already. It is quick when there is nothing to do, since
// it runs after every change of packages.
func (m *Machine) Loader() error {
	if m.Config.ESP == "" || !slices.Contains(m.Config.Loaders, "systemd-boot") && !slices.Contains(m.Config.Loaders, "uki") {
		return nil
	}
	name := "systemd-boot" + efiSuffix[m.Arch] + ".efi"
	data, err := os.ReadFile(m.path(path.Join("usr/lib/systemd/boot/efi", name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // came with the image, and stays as it is
	}
	if err != nil {
		return err
	}
	if err := m.ready(); err != nil {
		return err
	}
	removable := "EFI/BOOT/BOOT" + strings.ToUpper(efiSuffix[m.Arch]) + ".EFI"
	for _, place := range []string{"EFI/systemd/" + name, removable} {
		old, err := os.ReadFile(m.esp(place))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !strings.Contains(string(old), "systemd-boot") {
			continue
		}
		if err == nil {
			err = write(m.esp(place), data)
		}
		if err != nil {
			return fmt.Errorf("upgrading the boot loader: %w", err)
		}
	}
	return nil
}
