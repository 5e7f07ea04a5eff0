package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"slipway/internal/boot"
	"slipway/internal/build"
	"slipway/internal/image"
	"slipway/internal/image/qcow2"
	"slipway/internal/machine"
	"slipway/internal/plan"
)

// Options say how a machine is exported.
type Options struct {
	Dir      string // folder of the files; made if it is not there
	Format   string // of the disk: qcow2 or raw
	Firmware string // kernel (started directly), uefi or bios
	Emulate  bool   // libvirt: without KVM
	Build    build.Options
	HostRoot string // where the host's kernel is looked for; empty: /
}

// Result is what was written.
type Result struct {
	Files    []string `json:"files"`
	Commands []string `json:"commands"` // that take the machine over
	Notes    []string `json:"notes,omitempty"`
}

// work is one export.
type work struct {
	b   *build.Builder
	d   *machine.Definition
	opt Options
	out Result
}

func newWork(b *build.Builder, d *machine.Definition, opt Options) (*work, error) {
	dir, err := filepath.Abs(opt.Dir)
	if err != nil {
		return nil, err
	}
	opt.Dir, opt.Build.Class = dir, plan.Bootable
	switch {
	case d.Init == "none":
		return nil, fmt.Errorf("%s: init: none makes a tree, not a machine to be started; leave init out", d.At("init"))
	case d.From != nil:
		return nil, fmt.Errorf("%s: a stock image is a disk already: give it to the manager as it is", d.At("from"))
	}
	return &work{b: b, d: d, opt: opt}, nil
}

// path is a file of the folder, which becomes part of the result.
func (w *work) path(name string) string {
	p := filepath.Join(w.opt.Dir, name)
	w.out.Files = append(w.out.Files, p)
	return p
}

// build makes the machine's tree and the folder for what is exported.
func (w *work) build(ctx context.Context) (*build.Result, error) {
	r, err := w.b.Build(ctx, w.d, w.opt.Build)
	if err != nil {
		return nil, err
	}
	w.out.Notes = append(w.out.Notes, r.Prepared.Notes...)
	if err := os.MkdirAll(w.opt.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder for %s: %w", w.d.Name, err)
	}
	return r, nil
}

// roomy is the size of a disk that the definition leaves open, as on the vm
// target: the machine grows into it at its first start.
const roomy = 8 << 30

// larger is a disk with nothing behind its image.
type larger struct {
	image.Volume
	size int64
}

func (l larger) Size() int64 { return l.size }

func (l larger) Write(ctx context.Context, w io.Writer) error {
	if err := l.Volume.Write(ctx, w); err != nil {
		return err
	}
	return image.Hole(w, l.size-l.Volume.Size())
}

// empty is a disk of zeros.
type empty int64

func (e empty) Size() int64 { return int64(e) }

func (e empty) Write(_ context.Context, w io.Writer) error { return image.Hole(w, int64(e)) }

// writeDisk writes the machine's disk.
func (w *work) writeDisk(ctx context.Context, r *build.Result, format string) (File, *boot.Result, error) {
	target := boot.Disk
	if w.d.NoDisk() {
		target = boot.VM
	}
	laid, err := w.b.Disk(ctx, r, build.DiskOptions{Target: target})
	if err != nil {
		return File{}, nil, err
	}
	w.out.Notes = append(w.out.Notes, laid.Boot.Warnings...)
	volume := image.Volume(laid)
	if w.d.Disk.Size == 0 && format == "qcow2" {
		volume = larger{laid, max(roomy, laid.Size())}
	}
	f, err := w.volume(ctx, w.d.Name, format, volume)
	return f, laid.Boot, err
}

// volume writes a disk image into the folder.
func (w *work) volume(ctx context.Context, name, format string, v image.Volume) (File, error) {
	f := File{Path: w.path(name + "." + format), Format: format}
	if err := unused(f.Path); err != nil {
		return f, err
	}
	step := w.b.Progress.Step("write " + filepath.Base(f.Path))
	_, err := image.WriteFile(f.Path, w.private(), func(out io.Writer) error {
		if format == "qcow2" {
			return qcow2.Write(ctx, out, v)
		}
		return v.Write(ctx, out)
	})
	step.Done(err)
	return f, err
}

// unused refuses to replace a disk that a machine has written to.
func unused(path string) error {
	disk, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	sum, err := os.Stat(image.Sidecar(path))
	if err != nil || disk.ModTime().After(sum.ModTime()) {
		return fmt.Errorf("%s is there, and is not as slipway wrote it: a machine may have its data on it; remove it, or name another folder with -o", path)
	}
	return nil
}

// private tells that the disk holds secrets, which only its owner may read.
func (w *work) private() bool {
	return slices.ContainsFunc(w.d.Files, func(f machine.File) bool { return f.Secret != nil }) ||
		slices.ContainsFunc(w.d.Users, func(u machine.User) bool { return u.Password != nil })
}

// payload writes a kernel or an initramfs; "" when there is none.
func (w *work) payload(ctx context.Context, name string, p *boot.Payload) (string, error) {
	if p == nil {
		return "", nil
	}
	path := w.path(w.d.Name + "." + name)
	_, err := image.WriteFile(path, false, func(out io.Writer) error { return p.Write(ctx, out) })
	return path, err
}

// extraDisks makes those of vm.disks that are empty, and names the others. An
// empty one that is there already is kept: it may hold data.
func (w *work) extraDisks(ctx context.Context) ([]File, error) {
	var list []File
	for i, extra := range w.d.VM.Disks {
		if extra.File != "" {
			st, err := os.Stat(extra.File)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.d.At(fmt.Sprintf("vm.disks.%d.file", i)), err)
			}
			list = append(list, File{extra.File, "raw", st.Mode()&os.ModeDevice != 0})
			continue
		}
		name := fmt.Sprintf("%s-disk%d", w.d.Name, i+2)
		if path := filepath.Join(w.opt.Dir, name+".qcow2"); exists(path) {
			w.out.Notes = append(w.out.Notes, path+" is there already, and kept as it is")
			list = append(list, File{Path: path, Format: "qcow2"})
			continue
		}
		f, err := w.volume(ctx, name, "qcow2", empty(extra.Size))
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

// text writes a small file.
func (w *work) text(name string, data []byte) (string, error) {
	path := w.path(name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	return path, errors.Join(err, image.ReplaceFile(path, data))
}
