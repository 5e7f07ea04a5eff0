package boot

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/distro/deb/version"
	"slipway/internal/machine"
)

// maxKernel and maxInitrd bound what is read from this computer, in bytes.
const (
	maxKernel = 512 << 20
	maxInitrd = 2 << 30
)

// host is a kernel of this computer.
type host struct {
	modules fs.FS  // the root below which its modules are; nil: none
	initrd  []byte // its own initramfs; nil: none
}

func newer(a, b string) bool { return b == "" || version.Compare(a, b) > 0 }

// hostKernel reads a kernel from this computer. Links are followed now, so
// that each start takes what they name then.
func (a *assembly) hostKernel(key machine.Kernel) (*booted, error) {
	file, initrd := key.File, key.Initrd
	if key.Package == "host" && file == "" {
		var err error
		if file, initrd, err = a.findHostKernel(); err != nil {
			return nil, err
		}
	}
	data, err := readHost(file, maxKernel)
	if err != nil {
		return nil, fmt.Errorf("reading the kernel %s: %w", file, err)
	}
	k := &booted{key: key, host: &host{}, image: blob{data: data}}
	k.Version = release(data, file)
	if key.Package == "host" {
		if _, err := os.Stat(filepath.Join(a.hostRoot(), "lib/modules", k.Version, "modules.dep")); err == nil {
			k.host.modules = os.DirFS(a.hostRoot())
		}
	} else if e := a.fs.Resolve("lib/modules/" + k.Version); e != nil {
		k.Modules = e.Path
	}
	if initrd != "" {
		k.host.initrd, err = readHost(initrd, maxInitrd)
		if err != nil && (key.Initrd != "" || k.host.modules == nil) {
			return nil, fmt.Errorf("reading the initramfs %s: %w", initrd, err)
		}
	}
	return k, nil
}

func (a *assembly) hostRoot() string {
	if a.HostRoot == "" {
		return "/"
	}
	return a.HostRoot
}

// findHostKernel looks where distributions keep a link to the newest kernel,
// and then for the newest name.
func (a *assembly) findHostKernel() (kernel, initrd string, err error) {
	root := a.hostRoot()
	for _, name := range []string{"vmlinuz", "boot/vmlinuz", "boot/vmlinuz-linux", "boot/vmlinuz-lts"} {
		if full, err := filepath.EvalSymlinks(filepath.Join(root, name)); err == nil {
			return full, besideKernel(full), nil
		}
	}
	names, _ := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	best := ""
	for _, n := range names {
		if v := strings.TrimPrefix(filepath.Base(n), "vmlinuz-"); best == "" || newer(v, best) {
			best = v
		}
	}
	if best == "" {
		return "", "", fmt.Errorf("this computer has no kernel in /boot (kernel.package: host): " +
			"use kernel: {package: auto}, or name a file with kernel: {file: ...}")
	}
	full := filepath.Join(root, "boot/vmlinuz-"+best)
	return full, besideKernel(full), nil
}

// besideKernel is the initramfs of a kernel, by the names that distributions
// give; empty if there is none.
func besideKernel(kernel string) string {
	dir, v := filepath.Split(kernel)
	v = strings.TrimPrefix(v, "vmlinuz-")
	for _, name := range []string{"initrd.img-" + v, "initramfs-" + v + ".img", "initramfs-" + v, "initrd-" + v} {
		if _, err := os.Stat(dir + name); err == nil {
			return dir + name
		}
	}
	return ""
}

func readHost(name string, limit int64) ([]byte, error) {
	full, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(full)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > limit {
		return nil, fmt.Errorf("%s is no regular file of at most %d MiB", full, limit>>20)
	}
	return os.ReadFile(full)
}

// release is the version that a kernel says it has (boot protocol of x86,
// kernel_version; Documentation/arch/x86/boot.rst), or what its name says.
func release(kernel []byte, name string) string {
	const magic, pointer = 0x202, 0x20e // offsets of the fields
	if len(kernel) > pointer+2 && bytes.Equal(kernel[magic:magic+4], []byte("HdrS")) {
		at := 0x200 + int(binary.LittleEndian.Uint16(kernel[pointer:]))
		if at < len(kernel) {
			text := kernel[at:min(at+256, len(kernel))]
			if end := bytes.IndexAny(text, " \x00"); end > 0 {
				return string(text[:end])
			}
		}
	}
	base := filepath.Base(name)
	if v, ok := strings.CutPrefix(base, "vmlinuz-"); ok {
		return v
	}
	return "local"
}
