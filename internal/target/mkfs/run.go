package mkfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/progress"
	"slipway/internal/target/qemu"
	"slipway/internal/tree"
)

// silence is how long the machine may do one thing without a word. Emulation
// on a busy computer is slow.
const silence = 10 * time.Minute

// leaving is how long it may take to switch itself off.
const leaving = time.Minute

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
const cmdline = "rdinit=" + programPath + " console=ttyS0 loglevel=4 panic=-1 mitigations=off cryptomgr.notests audit=0 nokaslr"

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

// listen hears what the machine has to say, to its last word.
func listen(conn net.Conn, step *progress.Step) (got *tree.Manifest, stage string, err error) {
	stage = "start"
	done := int64(0)
	patience := func() error { return conn.SetReadDeadline(time.Now().Add(silence)) }
	if err := patience(); err != nil {
		return nil, stage, err
	}
	err = hear(conn, func(k kind, body io.Reader) error {
		if err := patience(); err != nil {
			return err
		}
		var err error
		switch k {
		case sayStage:
			var text []byte
			text, err = io.ReadAll(body)
			stage = string(text)
			step.Note(stage)
		case sayAlive:
			var n [8]byte
			_, err = io.ReadFull(body, n[:])
			now := int64(binary.BigEndian.Uint64(n[:]))
			step.Add(now - done)
			done = now
		case sayTree:
			got, err = tree.Decode(body)
		}
		return err
	})
	if err == nil && got == nil {
		err = errors.New("the virtual machine does not say what it wrote")
	}
	return got, stage, err
}

// watch ends the machine when this computer cannot keep what it writes: QEMU
// would wait for room for ever. The result comes when the machine has gone.
func watch(ctx context.Context, vm *qemu.VM) <-chan error {
	out := make(chan error, 1)
	go func() {
		var err error
		for e := range vm.Events() {
			if e.Name == "BLOCK_IO_ERROR" && err == nil {
				err = ioError(e.Data)
				go vm.Quit(context.WithoutCancel(ctx))
			}
		}
		out <- err
	}()
	return out
}

func ioError(data []byte) error {
	var what struct {
		Reason  string `json:"reason"`
		NoSpace bool   `json:"nospace"`
	}
	json.Unmarshal(data, &what)
	if what.NoSpace {
		return fmt.Errorf("keeping the volume: %w (in the temporary folder of the store)", unix.ENOSPC)
	}
	return fmt.Errorf("keeping the volume: %s", what.Reason)
}

// left waits until the machine has switched itself off, with all that it has
// written. One that was not heard to its end may already have died.
func left(ctx context.Context, vm *qemu.VM, heard error) error {
	patience := leaving
	if heard != nil {
		patience = time.Second
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-vm.Done():
		return vm.Wait()
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		if heard != nil {
			return nil
		}
		return errors.New("the virtual machine does not switch itself off")
	}
}

// compare holds the promise: what lies in the volume is the tree.
func compare(want, got *tree.Manifest) error {
	if want.Digest() == got.Digest() {
		return nil
	}
	all := tree.Compare(want, got)
	if len(all) == 0 {
		return errors.New("what was read back has another digest than the tree")
	}
	d := all[0]
	what := map[tree.Change]string{tree.Removed: "is not there", tree.Added: "was never asked for"}[d.Change]
	if what == "" {
		var attrs []string
		for _, a := range d.Attrs {
			attrs = append(attrs, string(a))
		}
		what = "has another " + strings.Join(attrs, ", ")
	}
	return fmt.Errorf("what was read back differs from the tree: /%s %s (%d paths differ)", d.Path, what, len(all))
}

// lastLines keeps the end of what the console shows.
type lastLines struct {
	mu  sync.Mutex
	buf []byte
}

func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	if over := len(l.buf) - 4<<10; over > 0 {
		l.buf = append(l.buf[:0], l.buf[over:]...)
	}
	return len(b), nil
}

// tail is the last lines for a message; empty when there are none.
func (l *lastLines) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(bytes.ReplaceAll(l.buf, []byte("\r"), nil))), "\n")
	if len(lines) > 8 {
		lines = lines[len(lines)-8:]
	}
	if text := strings.Join(lines, "\n"); text != "" {
		return "; the last lines of its console:\n" + text
	}
	return ""
}
