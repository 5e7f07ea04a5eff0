package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"slipway/internal/bootfiles"
	bootcpio "slipway/internal/bootfiles/cpio"
	"slipway/internal/bootfiles/modules"
	"slipway/internal/image"
	"slipway/internal/image/compress"
	"slipway/internal/image/cpio"
	"slipway/internal/tree"
)

// What a machine in RAM needs beside its root, in bytes: the kernel with what
// it allocates for itself and the first programs; room for what runs; room to
// write in the overlay.
const (
	ramKernel  = 128 << 20
	ramRunning = 128 << 20
	ramOverlay = 128 << 20
)

// ramKind is what the root of a machine in RAM is.
func (a *assembly) ramKind() string {
	if a.Definition.Boot.RAM == "" {
		return "squashfs"
	}
	return a.Definition.Boot.RAM
}

// ramWords name a root in RAM. root=ram makes the kernel unpack the initramfs
// to a ramfs, which unlike a tmpfs does not end at half of the memory.
func (a *assembly) ramWords() []string {
	kind := a.ramKind()
	if kind == "cpio" || kind == "init" {
		return []string{"root=ram", "rw"}
	}
	return []string{"root=ram", "slipway.root=/" + ramImage(kind), "rootfstype=" + kind, "ro", "slipway.overlay=tmpfs"}
}

func ramImage(kind string) string { return "root." + kind }

func (a *assembly) ramModules() []string {
	if kind := a.ramKind(); kind != "cpio" && kind != "init" {
		return []string{kind, "overlay", "loop"}
	}
	return nil
}

// makeRAM makes kernel and initramfs of a machine that needs no disk.
func (a *assembly) makeRAM(ctx context.Context) error {
	if len(a.kernels) == 0 {
		return errNoKernel
	}
	k := &a.kernels[0]
	if err := a.addLogins(ctx); err != nil {
		return err
	}
	// The kernel is loaded already, and what stands beside it is of no use.
	a.root.drop = func(name string) bool { return strings.HasPrefix(name, "boot/") }
	a.whole = a.root.over(a.Manifest)
	a.result.Kernel, a.result.Cmdline = k.image.payload(a.Content), k.cmdline
	a.result.Kernels = a.result.Kernels[:1]
	var err error
	switch a.ramKind() {
	case "cpio":
		err = a.ramArchive(k)
	case "init":
		err = a.ramInit(k)
	default:
		err = a.ramVolume(ctx, k)
	}
	a.result.Trees = []*tree.Manifest{a.whole}
	a.result.efi = a.efiProgram(k)
	return errors.Join(err, a.checkFirmware(k), a.checkConsoles(k))
}

// ramArchive makes the machine's whole tree the initramfs, with the helper as
// its first program.
func (a *assembly) ramArchive(k *booted) error {
	config := a.helperConfig(a.ramSet(k))
	config.Load = k.key.Modules
	data, err := config.Encode()
	if err != nil {
		return err
	}
	o := newOverlay(a.Epoch)
	o.file("init", 0o755, a.Helper)
	o.file(bootfiles.ConfigPath, 0o644, data)
	o.put(tree.Entry{Path: "newroot", Type: tree.Dir, Mode: 0o755, MTime: a.Epoch})
	o.put(tree.Entry{Path: "dev/console", Type: tree.Char, Mode: 0o600, Major: 5, Minor: 1, MTime: a.Epoch})
	whole, content := o.over(a.whole), tree.Contents{o.content, a.root.content, a.Content}
	if lost := cpio.Lost(whole); len(lost) > 0 {
		a.warn("a root of cpio in RAM holds no file capabilities: %s lose theirs; boot.ram: squashfs keeps them", strings.Join(lost, ", "))
	}
	format := compress.Gzip
	if a.knowsZstd(k) {
		format = compress.Zstd
	}
	w := cpio.Writer{Compression: format}
	a.result.Initrd = &Payload{Size: -1, Write: func(ctx context.Context, out io.Writer) error {
		return w.Write(ctx, out, whole, content, image.Options{Epoch: a.Epoch})
	}}
	size := unpacked(whole)
	a.result.Memory = roundMemory(ramKernel + size + max(size*6/10, ramRunning))
	return nil
}

// ramVolume puts a compressed image of the tree before an initramfs that
// mounts it below an overlay.
func (a *assembly) ramVolume(ctx context.Context, k *booted) error {
	kind := a.ramKind()
	if a.Plan == nil {
		return errors.New("nothing here makes a " + kind)
	}
	content := tree.Contents{a.root.content, a.Content}
	v, err := a.Plan(ctx, kind, a.whole, content, image.VolumeOptions{Epoch: a.Epoch})
	if err != nil {
		return fmt.Errorf("making the %s of a root in RAM: %w", kind, err)
	}
	if v.Size() > bootcpio.MaxSize {
		return fmt.Errorf("the %s of the root has %d MiB, and an initramfs holds files of less than 4 GiB: put the root on a disk", kind, v.Size()>>20)
	}
	first, err := a.makeInitrd(k, a.ramSet(k))
	if err != nil {
		return err
	}
	if first == nil {
		return fmt.Errorf("a root in RAM needs slipway's initramfs: leave boot.initramfs away")
	}
	head := &image.Counter{W: io.Discard}
	if err := writeRAM(head, kind, v.Size(), func(w io.Writer) error { return image.Hole(w, v.Size()) }); err != nil {
		return err
	}
	a.result.Initrd = &Payload{Size: head.N + first.size(), Write: func(ctx context.Context, out io.Writer) error {
		if err := writeRAM(out, kind, v.Size(), func(w io.Writer) error { return v.Write(ctx, w) }); err != nil {
			return err
		}
		_, err := out.Write(first.data)
		return err
	}}
	// While it unpacks, the kernel has the image twice, and the other files
	// about three times as large as compressed.
	starting := 2*v.Size() + 4*first.size()
	running := v.Size() + ramRunning + ramOverlay
	a.result.Memory = roundMemory(ramKernel + max(starting, running))
	return nil
}

// writeRAM writes a plain archive with the image alone. It comes first: the
// kernel takes any number of plain archives before a compressed one.
func writeRAM(w io.Writer, kind string, size int64, fill func(io.Writer) error) error {
	a := bootcpio.NewWriter(w)
	r, pipe := io.Pipe()
	go func() { pipe.CloseWithError(fill(pipe)) }()
	err := a.Stream(ramImage(kind), 0o400, size, r)
	r.CloseWithError(io.ErrClosedPipe)
	if err != nil {
		return err
	}
	return a.Close()
}

// ramSet is the set of modules for an initramfs that looks for no disk.
func (a *assembly) ramSet(k *booted) string {
	root, _ := a.modulesOf(k)
	t, err := modules.Open(root, k.Version)
	if err != nil || !t.Has("virtio_pci") && !t.Builtin("virtio_pci") {
		return ""
	}
	return "vm"
}

// unpacked is what a tree takes in a ramfs: whole pages.
func unpacked(m *tree.Manifest) int64 {
	const page = 4096
	var n int64
	for i := range m.Entries {
		e := &m.Entries[i]
		n += 1 << 10 // the inode and its name
		if e.Type == tree.File && e.Link == "" {
			n += (e.Size + page - 1) / page * page
		}
	}
	return n
}

func roundMemory(n int64) int64 {
	const step = 16 << 20
	return (n + step - 1) / step * step
}
