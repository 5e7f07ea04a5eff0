package build

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"crypto/sha256"

	"slipway/internal/boot"
	"slipway/internal/guest"
	"slipway/internal/image"
	"slipway/internal/machine"
	"slipway/internal/trace"
)

// imageVersion changes when the same inputs give another image.
const imageVersion = "image 2"

// Boot is what a machine starts from, as files of the store.
type Boot struct {
	Key      string   `json:"key"`
	Disk     string   `json:"disk,omitempty"` // raw image; empty: none
	Kernel   string   `json:"kernel"`
	Initrd   string   `json:"initrd,omitempty"`
	Root     string   `json:"root,omitempty"` // image of a root that is fetched over the network
	Cmdline  string   `json:"cmdline"`
	Memory   int64    `json:"memory,omitempty"` // bytes that a root in RAM needs; 0: no such root
	Kernels  []string `json:"kernels"`
	Warnings []string `json:"warnings,omitempty"`
	// DiskSize is how large the disk should be to the machine: its own size, or
	// more where the definition leaves it open.
	DiskSize int64 `json:"disk_size,omitempty"`
	// StateOffset and StateLength are where on the disk the file system for
	// state: lies, in bytes; 0: there is none.
	StateOffset int64 `json:"state_offset,omitempty"`
	StateLength int64 `json:"state_length,omitempty"`
}

// bootRecord is what the store keeps beside the files.
type bootRecord struct {
	Boot
	Sums map[string]*image.Sums `json:"sums"` // by file name
}

// roomyDisk is the size of a virtual machine's disk when the definition leaves
// it open; only what is written takes space.
const roomyDisk = 8 << 30

// Boot makes what a bootable tree starts from, or finds it in the store and
// checks it: disk, kernel and initramfs, or (boot.RAM) kernel and initramfs
// alone.
func (b *Builder) Boot(ctx context.Context, r *Result, target boot.Target) (*Boot, error) {
	key, err := b.imageKey(r, target)
	if err != nil {
		return nil, err
	}
	unlock, err := b.Store.Lock("image-"+key[:16], true)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if found, err := b.stored(ctx, key); found != nil || err != nil {
		return found, err
	}
	defer trace.Region("make the image")()
	name := "make the disk image"
	switch target {
	case boot.RAM:
		name = "make the image in RAM"
	case boot.Net, boot.NetRoot:
		name = "make the files for the network"
	}
	step := b.Progress.Step(name)
	err = b.makeBoot(ctx, r, target, key)
	step.Done(err)
	if err != nil {
		return nil, err
	}
	return b.stored(ctx, key)
}

// imageKey covers all that an image is made of.
func (b *Builder) imageKey(r *Result, target boot.Target) (string, error) {
	d := r.Prepared.Definition
	helper, err := guest.Program(d.Arch)
	if err != nil {
		return "", err
	}
	contents := map[string]string{}
	add := func(from *machine.From) error {
		if from == nil || from.File == "" {
			return nil
		}
		sum, err := hashFile(from.File)
		contents[from.File] = sum
		return err
	}
	for _, k := range d.Kernel {
		for _, file := range []string{k.File, k.Initrd} {
			if file != "" {
				if err := add(&machine.From{File: file}); err != nil {
					return "", fmt.Errorf("%s: reading the kernel: %w", d.At("kernel"), err)
				}
			}
		}
	}
	for _, p := range d.Disk.Partitions {
		err = errors.Join(err, add(p.From))
	}
	for _, bl := range d.Disk.Blobs {
		err = errors.Join(err, add(bl.From))
	}
	if err != nil {
		return "", fmt.Errorf("%s: reading raw content: %w", d.At("disk"), err)
	}
	layout := d.Layout()
	for i := range layout.Partitions {
		layout.Partitions[i].Pos = machine.Position{}
	}
	for i := range layout.Blobs {
		layout.Blobs[i].Pos = machine.Position{}
	}
	host := ""
	if d.Kernels()[0].Package == "host" {
		host = hostKernelStamp()
	}
	return digest(imageVersion, formatVersion, r.Key, string(target), seed(d), layout, d.Boot, d.Kernel, d.Mounts, d.State, d.Netboot.Small(), d.Init, d.VM.Bus,
		d.Shares, contents, hex.EncodeToString(sum256(helper)), host), nil
}

func sum256(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}

// hostKernelStamp changes when the host has another kernel; its links are
// followed at every start.
func hostKernelStamp() string {
	out := ""
	names, _ := filepath.Glob("/boot/*")
	for _, n := range append(names, "/vmlinuz") {
		if full, err := filepath.EvalSymlinks(n); err == nil {
			if st, err := os.Stat(full); err == nil {
				out += fmt.Sprintf("%s %d %d\n", full, st.Size(), st.ModTime().UnixNano())
			}
		}
	}
	return out
}

// makeBoot writes the files of an image into the store.
func (b *Builder) makeBoot(ctx context.Context, r *Result, target boot.Target, key string) error {
	stage, err := b.Store.TempDir("image")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	record := &bootRecord{Boot: Boot{Key: key}, Sums: map[string]*image.Sums{}}
	var booted *boot.Result
	if target == boot.RAM || target == boot.Net || target == boot.NetRoot {
		booted, err = b.assemble(ctx, r, target, "", nil)
	} else {
		booted, err = b.writeDisk(ctx, r, target, stage, record)
	}
	if err != nil {
		return err
	}
	record.Cmdline, record.Memory, record.Kernels, record.Warnings = booted.Cmdline, booted.Memory, booted.Kernels, booted.Warnings
	if record.Kernel, err = payload(ctx, stage, "kernel", booted.Kernel); err != nil {
		return err
	}
	if record.Initrd, err = payload(ctx, stage, "initrd", booted.Initrd); err != nil {
		return err
	}
	if record.Root, err = payload(ctx, stage, "root", booted.Root); err != nil {
		return err
	}
	for _, name := range []string{record.Disk, record.Kernel, record.Initrd, record.Root} {
		if name == "" {
			continue
		}
		if record.Sums[name], err = image.SumFile(ctx, filepath.Join(stage, name)); err != nil {
			return err
		}
	}
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(stage, "boot.json"), data, 0o600); err != nil {
		return err
	}
	return b.explain(b.Store.CommitImage(key, stage))
}

func (b *Builder) writeDisk(ctx context.Context, r *Result, target boot.Target, stage string, record *bootRecord) (*boot.Result, error) {
	disk, err := b.Disk(ctx, r, DiskOptions{Target: target})
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(stage, "disk.raw"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := image.Sparse(ctx, f, disk); err != nil {
		return nil, b.explain(fmt.Errorf("writing the disk image: %w", err))
	}
	record.Disk, record.DiskSize = "disk.raw", disk.Size()
	for _, s := range disk.Slots {
		if s.Use == "state" {
			record.StateOffset, record.StateLength = s.Offset, s.Length
		}
	}
	if r.Prepared.Definition.Disk.Size == 0 {
		record.DiskSize = max(record.DiskSize, roomyDisk)
	}
	return disk.Boot, f.Close()
}

// payload writes a kernel or an initramfs; none has no name.
func payload(ctx context.Context, dir, name string, p *boot.Payload) (string, error) {
	if p == nil {
		return "", nil
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := p.Write(ctx, io.Writer(w)); err != nil {
		return "", fmt.Errorf("writing the %s: %w", name, err)
	}
	return name, errors.Join(w.Flush(), f.Close())
}

// stored opens an image of the store after checking every byte of it; nil
// when there is none. A damaged one is dropped, said, and made anew.
func (b *Builder) stored(ctx context.Context, key string) (*Boot, error) {
	dir, ok := b.Store.Image(key)
	if !ok {
		return nil, nil
	}
	defer trace.Region("check the image")()
	record := new(bootRecord)
	data, err := os.ReadFile(filepath.Join(dir, "boot.json"))
	if err == nil {
		err = json.Unmarshal(data, record)
	}
	for name, sums := range record.Sums {
		if err == nil {
			err = sums.Check(ctx, filepath.Join(dir, name))
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		b.Progress.Note(fmt.Sprintf("the image in the store is made anew: %v", err))
		return nil, b.Store.DropImage(key)
	}
	for _, name := range []*string{&record.Disk, &record.Kernel, &record.Initrd, &record.Root} {
		if *name != "" {
			*name = filepath.Join(dir, *name)
		}
	}
	return &record.Boot, nil
}
