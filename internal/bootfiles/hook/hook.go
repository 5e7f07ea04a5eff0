// Package hook keeps a machine bootable when its package manager installs or
// removes a kernel, or upgrades the boot loader: it makes the initramfs, copies
// to the EFI system partition what has to be there, and writes the menu anew.
//
// Every file is written under another name, synced and renamed, kernels before
// the entries that name them; removal goes the other way. Whatever interrupts
// it, what the loader finds is old or new, and starts.
//
// It installs no boot loader where none is, and does not touch boot sectors.
package hook

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"slipway/internal/bootfiles"
	"slipway/internal/bootfiles/entries"
)

// Machine is the machine that the hook works on.
type Machine struct {
	Root   string // folder of its root: / in the machine itself
	Config bootfiles.Config
	Helper []byte // the guest helper, for the initramfs
	Arch   string // as Go calls it

	// Decompress and Compress are handed to package initramfs.
	Decompress func(ending string, r io.Reader) (io.Reader, error)
	Compress   func(w io.Writer) (io.WriteCloser, error)
	// Mounted tells whether a file system is mounted on a folder; it may mount
	// it. The error says why not.
	Mounted func(dir string) error
}

// Install makes a kernel bootable. An empty version means all that are there.
func (m *Machine) Install(version string) error {
	versions, err := m.kernels()
	if err != nil {
		return err
	}
	wanted := versions
	if version != "" {
		if !slices.Contains(versions, version) {
			return fmt.Errorf("preparing the kernel %s: there is no /%s", version, entries.Image(version))
		}
		wanted = []string{version}
	}
	if err := m.ready(); err != nil {
		return err
	}
	for _, v := range wanted {
		if err := m.prepare(v); err != nil {
			return fmt.Errorf("preparing the kernel %s: %w", v, err)
		}
	}
	return m.writeMenu(versions)
}

// Remove takes a kernel out of the menu, and then what belonged to it.
func (m *Machine) Remove(version string) error {
	if path.Base(version) != version || version == "" {
		return fmt.Errorf("removing a kernel: %q is no version", version)
	}
	versions, err := m.kernels()
	if err != nil {
		return err
	}
	if slices.Contains(versions, version) {
		return fmt.Errorf("removing the kernel %s: /%s is still there", version, entries.Image(version))
	}
	if err := m.ready(); err != nil {
		return err
	}
	menu := m.menu(versions)
	if m.Config.ESP != "" {
		if err := errors.Join(m.remove(m.esp(menu.EntryPath(version))), m.remove(m.esp(menu.UKI(version)))); err != nil {
			return err
		}
	}
	if err := m.writeMenu(versions); err != nil {
		return err
	}
	if m.Config.ESP != "" {
		if err := os.RemoveAll(m.esp(menu.ESPDir(version))); err != nil {
			return err
		}
	}
	if m.Config.Initramfs == "" {
		return m.remove(m.path(entries.Initrd(version)))
	}
	return nil
}

// ready checks what everything else depends on.
func (m *Machine) ready() error {
	if m.Config.ESP == "" {
		return nil
	}
	if err := m.Mounted(m.path(m.Config.ESP)); err != nil {
		return fmt.Errorf("the EFI system partition is not mounted on %s, so that loaders would not see the change: %w; mount it and run `dpkg --configure -a`",
			m.Config.ESP, err)
	}
	return nil
}

// kernels lists what is installed, the newest first.
func (m *Machine) kernels() ([]string, error) {
	names, err := filepath.Glob(m.path(entries.Image("*")))
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, name := range names {
		v := strings.TrimPrefix(filepath.Base(name), path.Base(entries.Image("")))
		if !strings.HasSuffix(v, suffix) && !strings.HasSuffix(v, ".dpkg-new") && !strings.HasSuffix(v, ".old") {
			versions = append(versions, v)
		}
	}
	newestFirst(versions)
	return versions, nil
}

// menu describes kernels to the loaders.
func (m *Machine) menu(versions []string) *entries.Menu {
	c := m.Config
	menu := &entries.Menu{
		Title: c.Title, Machine: c.Machine, Timeout: c.Timeout,
		Place: c.Place, UUID: c.UUID, FDTDir: c.FDTDir,
	}
	for _, v := range versions {
		_, err := os.Stat(m.path(entries.Initrd(v)))
		k := entries.Kernel{Version: v, Cmdline: c.Cmdline, NoInitrd: c.Initramfs == "none"}
		if !k.NoInitrd && errors.Is(err, fs.ErrNotExist) {
			continue // its own hook has not run yet, and will
		}
		menu.Kernels = append(menu.Kernels, k)
		if v == c.Default {
			menu.Default = v
		}
	}
	if len(menu.Kernels) > 1 && menu.Timeout == 0 {
		menu.Timeout = 3 // a choice that is not shown is none
	}
	return menu
}

func (m *Machine) writeMenu(versions []string) error {
	menu := m.menu(versions)
	files, err := menu.Files(m.Config.Loaders...)
	if err != nil {
		return err
	}
	slices.Reverse(files) // loader.conf names entries, so it is written last
	for _, f := range files {
		name := m.path(f.Path)
		if f.ESP {
			name = m.esp(f.Path)
		}
		if err := write(name, f.Data); err != nil {
			return fmt.Errorf("writing the menu: %w", err)
		}
	}
	return nil
}

func (m *Machine) path(name string) string { return filepath.Join(m.Root, name) }
func (m *Machine) esp(name string) string  { return filepath.Join(m.Root, m.Config.ESP, name) }

func (m *Machine) remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
