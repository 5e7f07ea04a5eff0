package hook

import (
	"fmt"
	"io"
	"os"
	"slices"

	"slipway/internal/bootfiles/entries"
	"slipway/internal/bootfiles/initramfs"
	"slipway/internal/bootfiles/uki"
)

// prepare makes all files of a kernel that its entries name.
func (m *Machine) prepare(version string) error {
	if m.Config.Initramfs == "" {
		if err := m.makeInitramfs(version); err != nil {
			return err
		}
	}
	menu := m.menu([]string{version})
	uses := func(loader string) bool { return slices.Contains(m.Config.Loaders, loader) }
	if uses("systemd-boot") || m.Config.Place == entries.InESP {
		if err := m.copyToESP(menu, version); err != nil {
			return err
		}
	}
	if uses("uki") {
		return m.makeUKI(menu, version)
	}
	return nil
}

func (m *Machine) makeInitramfs(version string) error {
	opt := initramfs.Options{
		Version: version, Set: m.Config.Target, Modules: m.Config.Modules, Helper: m.Helper, Config: m.Config,
		Decompress: m.Decompress, Compress: m.Compress,
	}
	return replace(m.path(entries.Initrd(version)), func(w io.Writer) error {
		return initramfs.Build(w, os.DirFS(m.Root), opt)
	})
}

// copyToESP puts a kernel where systemd-boot reads it.
func (m *Machine) copyToESP(menu *entries.Menu, version string) error {
	files := []struct{ from, to string }{{entries.Image(version), menu.ESPImage(version)}}
	if m.Config.Initramfs != "none" {
		files = append(files, struct{ from, to string }{entries.Initrd(version), menu.ESPInitrd(version)})
	}
	var need int64
	for _, f := range files {
		st, err := os.Stat(m.path(f.from))
		if err != nil {
			return err
		}
		need += st.Size()
	}
	if err := m.room(need); err != nil {
		return err
	}
	for _, f := range files {
		if err := copyFile(m.path(f.from), m.esp(f.to)); err != nil {
			return err
		}
	}
	return nil
}

// efiSuffix is how UEFI names an architecture: UEFI Specification, 3.5.1.1.
var efiSuffix = map[string]string{"amd64": "x64", "386": "ia32", "arm64": "aa64", "arm": "arm", "riscv64": "riscv64"}

// makeUKI joins a kernel with its initramfs in one file.
func (m *Machine) makeUKI(menu *entries.Menu, version string) error {
	stub := "usr/lib/systemd/boot/efi/linux" + efiSuffix[m.Arch] + ".efi.stub"
	code, err := os.ReadFile(m.path(stub))
	if err != nil {
		return fmt.Errorf("a unified kernel image needs the package systemd-boot-efi: %w", err)
	}
	release, err := os.ReadFile(m.path("etc/os-release"))
	if err != nil {
		release = []byte("ID=linux\nPRETTY_NAME=\"Linux\"\n")
	}
	image := uki.Image{Stub: code, OSRelease: release, Cmdline: m.Config.Cmdline, Uname: version}
	if image.Kernel, err = m.part(entries.Image(version)); err != nil {
		return err
	}
	if m.Config.Initramfs != "none" {
		if image.Initrd, err = m.part(entries.Initrd(version)); err != nil {
			return err
		}
	}
	size, err := image.Size()
	if err != nil {
		return err
	}
	if err := m.room(size); err != nil {
		return err
	}
	return replace(m.esp(menu.UKI(version)), image.Write)
}

func (m *Machine) part(name string) (uki.Part, error) {
	st, err := os.Stat(m.path(name))
	if err != nil {
		return uki.Part{}, err
	}
	return uki.Part{Size: st.Size(), Open: func() (io.ReadCloser, error) { return os.Open(m.path(name)) }}, nil
}
