package mkfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"slipway/internal/progress"
	"slipway/internal/target/qemu"
	"slipway/internal/tree"
)

// run makes a volume: a temporary file without a name.
func (m *Maker) run(ctx context.Context, r *request, step *progress.Step) (_ *os.File, err error) {
	dir, err := m.d.TempDir("mkfs")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	f, err := os.OpenFile(filepath.Join(dir, "volume"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := f.Truncate(r.size); err != nil {
		return nil, err
	}
	config, err := m.configure(ctx, r, dir)
	if err != nil {
		return nil, err
	}
	step.Total(2 * r.tree.Size()) // written and read
	got, err := boot(ctx, config, step)
	if err != nil {
		return nil, err
	}
	if err := compare(r.tree, got); err != nil {
		return nil, err
	}
	return f, nil
}

// configure readies all that the machine is started with.
func (m *Maker) configure(ctx context.Context, r *request, dir string) (*qemu.Config, error) {
	g, err := m.makeGear(ctx, r, dir)
	if err != nil {
		return nil, err
	}
	source, err := os.OpenFile(filepath.Join(dir, "tree"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	err = writeTree(ctx, source, r.tree, r.content)
	if err = errors.Join(err, source.Close()); err != nil {
		return nil, fmt.Errorf("writing the tree for the virtual machine: %w", err)
	}
	accel := m.d.Accel
	if accel == nil {
		if accel, err = qemu.Accelerator(ctx, m.d.Tools, runtime.GOARCH, m.d.Memo); err != nil {
			return nil, err
		}
	}
	return &qemu.Config{
		Programs: m.d.Tools, Name: "mkfs-" + r.fs.name, Arch: runtime.GOARCH, RunDir: dir, Accel: accel, CPU: processor(accel),
		CPUs: min(runtime.NumCPU(), 4), Memory: memory(r),
		Boot: qemu.Boot{Kernel: g.kernel, Initrd: g.initrd, Cmdline: cmdline},
		Disks: []qemu.Disk{
			{Path: filepath.Join(dir, "volume"), Serial: volumeSerial, Sector: r.opt.Sector, Ephemeral: true},
			{Path: filepath.Join(dir, "tree"), Serial: treeSerial, ReadOnly: true},
		},
		NoReboot: true,
	}, nil
}

// processor leaves out what makes an emulated machine slow: a kernel that sees
// fast string instructions copies everything with them, and QEMU emulates them
// byte by byte.
func processor(a *qemu.Accel) string {
	switch {
	case a.Name != "tcg":
		return ""
	case a.Major < 10:
		return "max,-erms,-fsrm,-cx16"
	}
	return "max,-erms,-fsrm"
}

// cmdline leaves out what costs time and protects nobody here: the machine
// runs one program, and ends.
const cmdline = "rdinit=" + programPath + " console=ttyS0 loglevel=4 panic=-1 mitigations=off cryptomgr.notests initcall_blacklist=jent_mod_init audit=0 nokaslr"

// The disks are told apart by their serials.
const (
	volumeSerial = "volume"
	treeSerial   = "tree"
)

// memory is what the machine gets: the manifest is in it three times.
func memory(r *request) int64 {
	const mega = 1 << 20
	n := int64(512 * mega)
	for i := range r.tree.Entries {
		n += 1500 + int64(4*len(r.tree.Entries[i].Path))
	}
	return (n + mega - 1) / mega * mega
}

// boot starts the machine and gives what it found in the finished volume.
func boot(ctx context.Context, c *qemu.Config, step *progress.Step) (*tree.Manifest, error) {
	vm, err := qemu.Start(ctx, *c)
	if err != nil {
		return nil, err
	}
	defer vm.Agent.Close()
	console := new(lastLines)
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer vm.Console.Close()
		io.Copy(console, vm.Console)
	}()
	stop := context.AfterFunc(ctx, func() { vm.Quit(context.WithoutCancel(ctx)) })
	defer stop()
	trouble := watch(ctx, vm)
	got, stage, err := listen(vm.Agent, step)
	if err == nil {
		vm.Agent.Write([]byte{heard}) // it may go; if it is gone already, that is seen next
	}
	gone := left(ctx, vm, err)
	vm.Quit(context.WithoutCancel(ctx)) // nothing is left to do when it has gone
	<-read
	switch host := <-trouble; {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case host != nil:
		return nil, fmt.Errorf("%s: %w", stage, host)
	case errors.Is(err, errSilent) || errors.Is(err, os.ErrDeadlineExceeded) || err == nil && gone != nil:
		return nil, fmt.Errorf("%s: %w%s", stage, errors.Join(err, gone), console.tail())
	case err != nil:
		return nil, fmt.Errorf("%s: %w", stage, err)
	}
	return got, nil
}
