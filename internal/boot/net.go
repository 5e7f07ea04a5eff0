package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"slipway/internal/bootfiles"
	"slipway/internal/bootfiles/firmware"
	"slipway/internal/bootfiles/initramfs"
	"slipway/internal/bootfiles/modules"
	"slipway/internal/image"
	"slipway/internal/trace"
	"slipway/internal/tree"
)

// netModules are drivers of wired network cards, and what an installer needs
// beside the disks of the set "disk". What a kernel does not have is left out.
var netModules = []string{
	"virtio_net", "e1000", "e1000e", "igb", "igc", "ixgbe", "i40e", "ice", "ixgbevf", "iavf",
	"tg3", "bnx2", "bnx2x", "bnxt_en", "mlx4_en", "mlx5_core", "r8169", "8139cp", "8139too", "realtek", "sky2", "skge",
	"atl1c", "alx", "atlantic", "forcedeth", "via_rhine", "via_velocity", "ne2k_pci", "pcnet32", "sfc", "be2net", "enic", "qede", "cxgb4",
	"vmxnet3", "hv_netvsc", "xen_netfront", "ena", "gve", "usbnet", "cdc_ether", "cdc_ncm", "r8152", "ax88179_178a", "asix",
	"af_packet", "efivarfs", "vfat", "nls_cp437", "nls_iso8859_1", "nls_ascii", "ext4", "squashfs", "erofs", "overlay", "loop",
	"aacraid", "hpsa", "mptsas", "smartpqi", "arcmsr", "3w_9xxx", "sata_sil24", "sata_nv", "sata_via", "sata_mv", "pata_amd", "sdhci", "mmc_core",
}

// makeNet makes kernel and initramfs of a machine that fetches the rest.
func (a *assembly) makeNet(ctx context.Context) error {
	if len(a.kernels) == 0 {
		return errNoKernel
	}
	k := &a.kernels[0]
	if k.host != nil && k.key.Initrd != "" || a.Definition.Boot.Initramfs == "none" || a.Definition.Boot.Initramfs == "distro" {
		return errors.New("fetching over the network needs slipway's initramfs: leave boot.initramfs and kernel.initrd away")
	}
	root, opt := a.initrdOptions(k, "disk")
	opt.Config.State = a.keptState()
	if opt.Set != "" {
		opt.Optional = netModules
		var err error
		if opt.Extra, err = netFirmware(root, k.Version); err != nil {
			return fmt.Errorf("making the initramfs of kernel %s: %w", k.Version, err)
		}
	}
	a.result.Kernel, a.result.Cmdline = k.image.payload(a.Content), k.cmdline
	a.result.Kernels = a.result.Kernels[:1]
	a.result.Initrd = &Payload{Size: -1, Write: func(ctx context.Context, w io.Writer) error {
		defer trace.Region("make the initramfs")()
		return initramfs.Build(w, root, opt)
	}}
	return ctx.Err()
}

// keptState is what a machine in RAM keeps on a disk. Its initramfs looks for
// the disk.
func (a *assembly) keptState() *bootfiles.State {
	d := a.Definition
	if !d.Netboot.Small() || len(d.State) == 0 {
		return nil
	}
	s := new(bootfiles.State)
	for _, dir := range d.State {
		s.Folders = append(s.Folders, bootfiles.KeptFolder{Path: path.Clean(dir), At: a.placeOf(dir)})
	}
	return s
}

// placeOf is where a folder of the machine is, past links, or where it would be
// made.
func (a *assembly) placeOf(dir string) string {
	dir = path.Clean(dir)
	for above := dir; above != "/"; above = path.Dir(above) {
		if e := a.fs.Resolve(strings.TrimPrefix(above, "/")); e != nil {
			return path.Join("/", e.Path, strings.TrimPrefix(dir, above))
		}
	}
	return dir
}

// netFirmware is what the drivers of network cards may ask for, as far as the
// machine has it.
func netFirmware(root fs.FS, version string) ([]initramfs.File, error) {
	t, err := modules.Open(root, version)
	if err != nil {
		return nil, err
	}
	var there []string
	for _, name := range netModules {
		if t.Has(name) {
			there = append(there, name)
		}
	}
	demands, err := firmware.Demands(root, t, there, decompress)
	if err != nil {
		return nil, err
	}
	var out []initramfs.File
	done := map[string]bool{}
	for _, d := range demands {
		for _, file := range d.Found {
			name := "lib/firmware/" + strings.TrimPrefix(strings.TrimPrefix(file, "usr/"), "lib/firmware/")
			data, err := fs.ReadFile(root, file)
			if err != nil {
				return nil, err
			}
			if !done[name] {
				done[name] = true
				out = append(out, initramfs.File{Path: name, Mode: 0o644, Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
					return io.NopCloser(bytes.NewReader(data)), nil
				}})
			}
		}
	}
	return out, nil
}

// makeNetRoot makes the root that is fetched.
func (a *assembly) makeNetRoot(ctx context.Context) error {
	kind := a.ramKind()
	if kind != "squashfs" && kind != "erofs" {
		return fmt.Errorf("a root of %s (boot.ram) is part of its initramfs and cannot be fetched by a small one: choose squashfs or erofs, or netboot.initrd: whole", kind)
	}
	if a.Plan == nil {
		return errors.New("nothing here makes a " + kind)
	}
	if err := a.addLogins(ctx); err != nil {
		return err
	}
	a.root.drop = func(name string) bool { return strings.HasPrefix(name, "boot/") }
	a.whole = a.root.over(a.Manifest)
	v, err := a.Plan(ctx, kind, a.whole, tree.Contents{a.root.content, a.Content}, image.VolumeOptions{Epoch: a.Epoch})
	if err != nil {
		return fmt.Errorf("making the %s of a root in RAM: %w", kind, err)
	}
	a.result.Root = &Payload{Size: v.Size(), Write: v.Write}
	a.result.Memory = roundMemory(ramKernel + v.Size() + ramRunning + ramOverlay)
	a.result.Trees = []*tree.Manifest{a.whole}
	k := &a.kernels[0]
	return errors.Join(a.checkFirmware(k), a.checkConsoles(k))
}
