package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ipxeBinaries are the loaders of the set ipxe: name, and where Debian has it.
// undionly and snponly use the firmware's own driver of the card that booted.
var ipxeBinaries = map[string]string{
	"undionly.kpxe": "usr/lib/ipxe/undionly.kpxe",
	"snponly.efi":   "usr/lib/ipxe/snponly.efi",
	"ipxe.efi":      "boot/ipxe.efi",
	"ipxe.lkrn":     "boot/ipxe.lkrn",
}

// IPXE finds iPXE's binaries: their files by their names.
func (t *Tools) IPXE(ctx context.Context) (map[string]string, error) {
	root, err := t.Root(ctx, "ipxe")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for name, path := range ipxeBinaries {
		full := filepath.Join(root, path)
		if _, err := os.Stat(full); err == nil {
			found[name] = full
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("finding the loader %s: %w", name, err)
		}
	}
	if found["undionly.kpxe"] == "" || found["snponly.efi"] == "" {
		return nil, fmt.Errorf("the package ipxe of %s holds no undionly.kpxe or no snponly.efi", System)
	}
	return found, nil
}
