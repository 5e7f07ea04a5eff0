package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/internal/bootfiles/entries"
	"slipway/internal/trace"
)

// grubModules are in the image that firmware starts: it finds its menu on any
// file system that the disk may have, without loading anything.
var grubModules = []string{
	"part_gpt", "part_msdos", "ext2", "btrfs", "xfs", "fat", "search", "search_fs_uuid", "search_label", "search_fs_file",
	"normal", "linux", "configfile", "echo", "test", "true", "ls", "cat", "serial", "terminal", "gzio", "zstd", "sleep", "reboot", "halt", "minicmd",
}

// What one firmware needs beside them. A BIOS shows text; UEFI gives the
// kernel the screen that GRUB found.
var grubFirmware = map[string][]string{
	"i386-pc":    {"biosdisk"},
	"x86_64-efi": {"efi_gop", "all_video"},
	"i386-efi":   {"efi_gop", "all_video"},
	"arm64-efi":  {"efi_gop", "all_video"},
}

// grubExtra are modules that somebody at GRUB's prompt may want, kept in the
// folder that it loads them from.
var grubExtra = []string{"help", "hexdump", "lspci", "regexp", "probe", "search_fs_file", "hdparm", "memdisk", "squash4", "loopback", "chain", "all_video", "date", "loadenv"}

// addGRUB makes GRUB for BIOS: its menu and modules in the machine, its first
// stages for the sectors outside of file systems.
func (a *assembly) addGRUB(ctx context.Context) error {
	dir, err := a.grubDir(ctx, "i386-pc")
	if err != nil {
		return err
	}
	core, err := a.grubImage(ctx, dir, "i386-pc")
	if err != nil {
		return err
	}
	first, err := os.ReadFile(filepath.Join(dir, "boot.img"))
	if err != nil {
		return err
	}
	if a.result.BIOS, err = newGRUB(first, core); err != nil {
		return err
	}
	return a.addGRUBFiles(dir, "i386-pc")
}

// addGRUBEFI makes GRUB for UEFI, one program on the ESP.
func (a *assembly) addGRUBEFI(ctx context.Context) error {
	platform := map[string]string{"amd64": "x86_64-efi", "i386": "i386-efi", "arm64": "arm64-efi"}[a.Definition.Arch]
	if platform == "" {
		return fmt.Errorf("there is no GRUB for UEFI on %s here: choose another loader with boot.loader", a.Definition.Arch)
	}
	dir, err := a.grubDir(ctx, platform)
	if err != nil {
		return err
	}
	core, err := a.grubImage(ctx, dir, platform)
	if err != nil {
		return err
	}
	a.esp.file(a.removable(), 0o644, core)
	a.esp.file("EFI/slipway/grub"+efiSuffix[a.Definition.Arch]+".efi", 0o644, core)
	return a.addGRUBFiles(dir, platform)
}

func (a *assembly) grubDir(ctx context.Context, platform string) (string, error) {
	if a.Tools == nil {
		return "", errors.New("there are no tools to take GRUB from")
	}
	list, err := a.Tools.Path(ctx, "grub", "/usr/lib/grub/"+platform+"/moddep.lst")
	if err != nil {
		return "", fmt.Errorf("looking for GRUB: %w", err)
	}
	return filepath.Dir(list), nil
}

// grubImage links GRUB's kernel and modules with the few words that find the
// menu.
func (a *assembly) grubImage(ctx context.Context, dir, platform string) ([]byte, error) {
	a.placeMenu()
	if a.menu.UUID == "" {
		return nil, fmt.Errorf("the file system with GRUB's menu has no UUID: add a partition with use: boot or use: esp to disk.partitions")
	}
	early := fmt.Sprintf("search.fs_uuid %s root\nset prefix=($root)%s\n", a.menu.UUID, a.menu.GrubDir())
	names := slices.Concat(grubModules, grubFirmware[platform])
	for _, m := range names {
		if _, err := os.Stat(filepath.Join(dir, m+".mod")); err != nil {
			return nil, fmt.Errorf("GRUB's module %s is missing: %w", m, err)
		}
	}
	return a.cached(grubInputs(dir, platform, a.menu.GrubDir(), early, names), func() ([]byte, error) {
		return a.link(ctx, dir, platform, early, names)
	})
}

// link runs grub-mkimage.
func (a *assembly) link(ctx context.Context, dir, platform, early string, names []string) ([]byte, error) {
	defer trace.Region("link GRUB")()
	tmp, err := os.MkdirTemp("", "slipway-grub-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	config, core := filepath.Join(tmp, "early.cfg"), filepath.Join(tmp, "core.img")
	if err := os.WriteFile(config, []byte(early), 0o600); err != nil {
		return nil, err
	}
	args := append([]string{"-O", platform, "-d", dir, "-c", config, "-p", a.menu.GrubDir(), "-o", core}, names...)
	cmd, err := a.Tools.Command(ctx, "grub", "grub-mkimage", args...)
	if err != nil {
		return nil, err
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("running grub-mkimage: %w: %s", err, strings.TrimSpace(string(text)))
	}
	return os.ReadFile(core)
}

// addGRUBFiles puts the menu and the modules where GRUB looks for them.
func (a *assembly) addGRUBFiles(dir, platform string) error {
	a.addFiles([]entries.File{a.menu.GRUB()})
	names, err := closure(dir, slices.Concat(grubModules, grubFirmware[platform], grubExtra))
	if err != nil {
		return err
	}
	lists, err := filepath.Glob(filepath.Join(dir, "*.lst"))
	if err != nil {
		return err
	}
	files := lists
	for _, n := range names {
		files = append(files, filepath.Join(dir, n+".mod"))
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue // not every GRUB has every module
		}
		if err != nil {
			return err
		}
		name := "grub/" + platform + "/" + filepath.Base(f)
		if a.menu.Place == entries.InESP {
			a.esp.file(name, 0o644, data)
		} else {
			a.root.file("boot/"+name, 0o644, data)
		}
	}
	return nil
}

// closure adds what modules need, from the table that GRUB keeps beside them.
func closure(dir string, names []string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, "moddep.lst"))
	if err != nil {
		return nil, fmt.Errorf("reading GRUB's table of modules: %w", err)
	}
	needs := map[string][]string{}
	for line := range strings.Lines(string(data)) {
		name, rest, ok := strings.Cut(line, ":")
		if ok {
			needs[name] = strings.Fields(rest)
		}
	}
	seen := map[string]bool{}
	var add func(string)
	add = func(n string) {
		if seen[n] || filepath.Base(n) != n {
			return
		}
		seen[n] = true
		for _, d := range needs[n] {
			add(d)
		}
	}
	for _, n := range names {
		add(n)
	}
	return sortedKeys(seen), nil
}
