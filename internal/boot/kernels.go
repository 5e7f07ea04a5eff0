package boot

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/bootfiles/entries"
	"slipway/internal/distro/deb/version"
	"slipway/internal/tree"
)

// Kernel is a kernel that is installed in a tree.
type Kernel struct {
	Version string      // uname -r
	Image   *tree.Entry // the file boot/vmlinuz-VERSION
	Modules string      // folder of its modules; empty: it has none
}

// errNoKernel says which key brings a kernel.
var errNoKernel = errors.New("the machine has no kernel (no /boot/vmlinuz-VERSION): " +
	"leave the key kernel away for the distribution's own, name one with kernel: {package: ...}, or one on this host with kernel: {file: ...}")

// Kernels lists the installed kernels of a tree, the newest first. A tree
// without any is an error that says which key helps.
func Kernels(m *tree.Manifest) ([]Kernel, error) {
	f := NewFS(m, nil)
	var all []Kernel
	for _, d := range f.children(bootFolder(f)) {
		v, ok := strings.CutPrefix(d.Name(), "vmlinuz-")
		image := f.Resolve(entries.Image(v))
		if !ok || !nameable(v) || image == nil || image.Type != tree.File {
			continue
		}
		k := Kernel{Version: v, Image: image}
		for _, dir := range []string{"usr/lib/modules", "lib/modules"} {
			if e := f.Resolve(path.Join(dir, v)); e != nil && e.Type == tree.Dir {
				k.Modules = e.Path
				break
			}
		}
		all = append(all, k)
	}
	if len(all) == 0 {
		return nil, errNoKernel
	}
	slices.SortFunc(all, func(a, b Kernel) int {
		if c := version.Compare(b.Version, a.Version); c != 0 {
			return c
		}
		return strings.Compare(b.Version, a.Version)
	})
	return all, nil
}

// nameable tells whether a loader's configuration can name such a kernel. A
// blank or a line break in the name of a file would be words or lines of the
// configuration, and no kernel has one in what uname -r prints.
func nameable(version string) bool {
	for i := range len(version) {
		if c := version[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return version != ""
}

// bootFolder is where /boot is in the tree.
func bootFolder(f *FS) string {
	if e := f.Resolve("boot"); e != nil && e.Type == tree.Dir {
		return e.Path
	}
	return "boot"
}

// find gives the kernel of a version.
func find(all []Kernel, v string) (Kernel, error) {
	i := slices.IndexFunc(all, func(k Kernel) bool { return k.Version == v })
	if i < 0 {
		return Kernel{}, fmt.Errorf("kernel %s is not in the machine", v)
	}
	return all[i], nil
}
