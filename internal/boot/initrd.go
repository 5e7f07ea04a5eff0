package boot

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/zstd"

	"slipway/internal/bootfiles"
	"slipway/internal/bootfiles/entries"
	"slipway/internal/bootfiles/initramfs"
	"slipway/internal/image/compress"
	"slipway/internal/trace"
	"slipway/internal/tree"
	"slipway/internal/xz"
)

// makeInitrds gives each kernel its initramfs. One that starts without a
// loader in a virtual machine gets a smaller one there.
func (a *assembly) makeInitrds(ctx context.Context) error {
	for i := range a.kernels {
		k := &a.kernels[i]
		if a.Target != RAM {
			b, err := a.makeInitrd(k, "disk")
			if err != nil {
				return err
			}
			if k.initrd = b; b != nil && k.key.Package != "host" {
				b.addTo(a.root, entries.Initrd(k.Version))
			}
		}
		if k.host != nil && k.key.Package != "host" {
			k.image.addTo(a.root, entries.Image(k.Version))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if len(a.kernels) == 0 || a.Target == RAM {
		return nil
	}
	return a.makeDirect(&a.kernels[0])
}

// makeDirect is how the machine starts without a loader.
func (a *assembly) makeDirect(k *booted) error {
	a.result.Kernel, a.result.Cmdline = k.image.payload(a.Content), k.cmdline
	b := k.initrd
	if a.Target == VM {
		var err error
		if b, err = a.makeInitrd(k, "vm"); err != nil {
			return err
		}
	}
	if b != nil {
		a.result.Initrd = b.payload(a.Content)
	}
	return nil
}

// makeInitrd makes or finds the initramfs of a kernel; nil if it has none.
func (a *assembly) makeInitrd(k *booted, set string) (*blob, error) {
	switch {
	case k.host != nil && k.key.Initrd != "":
		return &blob{data: k.host.initrd}, nil
	case a.Definition.Boot.Initramfs == "none":
		return nil, nil
	case a.Definition.Boot.Initramfs == "distro":
		return a.distroInitrd(k)
	case k.key.Package == "host" && k.host.modules == nil && k.host.initrd != nil:
		return &blob{data: k.host.initrd}, nil
	}
	root, opt := a.initrdOptions(k, set)
	data, err := a.cached(a.initrdInputs(k, opt), func() ([]byte, error) {
		defer trace.Region("make the initramfs")()
		var out bytes.Buffer
		err := initramfs.Build(&out, root, opt)
		return out.Bytes(), err
	})
	if err != nil {
		return nil, fmt.Errorf("making the initramfs of kernel %s: %w", k.Version, err)
	}
	return &blob{data: data}, nil
}

func (a *assembly) distroInitrd(k *booted) (*blob, error) {
	if k.key.Package == "host" {
		if k.host.initrd == nil {
			return nil, fmt.Errorf("the host's kernel %s has no initramfs beside it: leave boot.initramfs away", k.Version)
		}
		return &blob{data: k.host.initrd}, nil
	}
	e := a.fs.Resolve(entries.Initrd(k.Version))
	if e == nil || e.Type != tree.File {
		return nil, fmt.Errorf("the tree has no /%s (boot.initramfs: distro): add the package that makes it, initramfs-tools or dracut, or leave the key away",
			entries.Initrd(k.Version))
	}
	return &blob{entry: e}, nil
}

// initrdOptions say what goes into an initramfs of ours, and where its modules
// come from.
func (a *assembly) initrdOptions(k *booted, set string) (fs.FS, initramfs.Options) {
	root, modular := a.modulesOf(k)
	opt := initramfs.Options{Version: k.Version, Helper: a.Helper, Decompress: decompress, Config: a.helperConfig(set)}
	if set != "vm" { // which the host hands over as it is: unpacking would only take the machine's time
		opt.Compress = a.packer(k)
	}
	if modular { // else all that it needs is part of the kernel
		opt.Set = set
		opt.Modules = append(a.rootModules(set), k.key.Modules...)
	}
	return root, opt
}

// modulesOf is the root below which a kernel's modules are, and whether it has
// any.
func (a *assembly) modulesOf(k *booted) (fs.FS, bool) {
	if k.host != nil && k.host.modules != nil {
		return k.host.modules, true
	}
	return a.fs, k.Modules != ""
}

// helperConfig is what the helper reads in the initramfs.
func (a *assembly) helperConfig(set string) bootfiles.Config {
	c := bootfiles.Config{Mint: a.Mint, Target: set}
	if p, ok := a.partition("root"); ok && a.Target != RAM {
		c.Root, c.Grow = a.rootName(p), p.Grow
	}
	if strings.HasPrefix(a.Definition.Init, "/") {
		c.Init = []string{a.Definition.Init}
	}
	return c
}

// busModules are what a virtual machine's disks need beside virtio.
var busModules = map[string][]string{"ahci": {"ahci", "sd_mod"}, "nvme": {"nvme"}, "scsi": {"virtio_scsi", "sd_mod"}}

// rootModules are the modules without which the root cannot be mounted.
func (a *assembly) rootModules(set string) []string {
	if a.Target == RAM {
		return a.ramModules()
	}
	var out []string
	if set == "vm" {
		out = append(out, busModules[a.Definition.VM.Bus]...)
	}
	p, ok := a.partition("root")
	if !ok {
		return out
	}
	out = append(out, p.Filesystem)
	if p.Filesystem == "squashfs" || p.Filesystem == "erofs" {
		out = append(out, "overlay")
	}
	return out
}

// packer compresses with what the kernel can unpack.
func (a *assembly) packer(k *booted) func(io.Writer) (io.WriteCloser, error) {
	if a.knowsZstd(k) {
		return compress.Zstd.Writer
	}
	return compress.Gzip.Writer
}

// knowsZstd asks the kernel's configuration, which distributions put beside
// it; any other kernel is taken to know gzip alone.
func (a *assembly) knowsZstd(k *booted) bool {
	config, err := a.read("boot/config-"+k.Version, 4<<20)
	return err == nil && bytes.Contains(config, []byte("\nCONFIG_RD_ZSTD=y\n"))
}

// decompress opens a compressed module.
func decompress(ending string, r io.Reader) (io.Reader, error) {
	switch ending {
	case ".xz":
		// The reader of whole files is twice as fast, and modules are small.
		data, err := io.ReadAll(io.LimitReader(r, maxKernel))
		if err != nil {
			return nil, err
		}
		return xz.NewParallelReader(bytes.NewReader(data), int64(len(data)))
	case ".zst":
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	case ".gz":
		return gzip.NewReader(r)
	}
	return nil, errors.New("nothing here decompresses " + ending)
}
