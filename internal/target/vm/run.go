package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"slipway/internal/guest/wire"
	"slipway/internal/lab"
	"slipway/internal/target/qemu"
	"slipway/internal/target/qemu/link"
	"slipway/internal/target/supervisor"
)

// run is one run of QEMU.
type run struct {
	*watcher
	body    *body
	vm      *qemu.VM
	console console
	link    *supervisor.Attachment
	links   []*lab.Link // of further cards
	cables  []*link.Cable
	stop    context.CancelFunc

	config     wire.Frame // sent once
	configured bool
	resets     bool // a reset is part of its way up: it is installed
}

var (
	_ supervisor.Run    = (*run)(nil)
	_ supervisor.Staged = (*run)(nil)
)

// Start starts QEMU and tells the guest what it is to be.
func (b *body) Start() (_ supervisor.Run, err error) {
	ctx, stop := context.WithCancel(context.Background())
	r := &run{body: b, stop: stop}
	defer func() {
		if err != nil {
			r.Kill()
			err = errors.Join(err, r.Close())
		}
	}()
	config, err := b.config()
	if err != nil {
		return nil, err
	}
	if r.link, err = b.attach(r, &config); err != nil {
		return nil, err
	}
	r.watcher = newWatcher(b.Spec.Target, time.Now)
	r.watcher.foreign = b.Spec.Definition.FromImage()
	if r.resets = b.installed(); r.resets {
		r.watcher.installed()
	}
	if r.vm, err = qemu.Start(ctx, config); err != nil {
		return nil, err
	}
	r.console = console{r.vm.Console, r.watcher}
	if r.link.Link != nil && !b.fetched() { // firmware has an address too
		go func() {
			if awaitNetwork(ctx, r.link.Link.IPv4) {
				r.reachedNetwork()
			}
		}()
	}
	return r, r.prepareConfig(b)
}

// config is the machine without its network cards.
func (b *body) config() (qemu.Config, error) {
	d, boot := b.Spec.Definition, b.Spec.Boot
	c := qemu.Config{
		Programs: &b.programs, Accel: b.programs.Accel, Name: b.Spec.Name, Arch: d.Arch, RunDir: b.Spec.RunDir,
		CPU: d.VM.CPU, CPUs: d.VM.CPUs, Pin: d.VM.Pin, Memory: int64(memory(&b.Spec)),
		NoReboot: !b.installed(), NoAgent: d.DistroInitramfs() || d.FromImage(),
		Boot: qemu.Boot{Firmware: boot.Firmware, Kernel: boot.Kernel, Initrd: boot.Initrd, Cmdline: boot.Cmdline, Vars: b.path(varsFile)},
	}
	if b.fetched() {
		c.Boot = qemu.Boot{Firmware: boot.Firmware, Network: "pxe", Vars: b.path(varsFile)}
		if d.Netboot.HTTP() {
			c.Boot.Network = "http"
		}
		if n := d.Netboot; n != nil {
			c.SMBIOS = qemu.SMBIOS{UUID: n.Match.UUID, Serial: n.Match.Serial, Asset: n.Match.Asset}
		}
	}
	if c.CPUs == 0 {
		c.CPUs = 2
	}
	if a := b.programs.Accel; a != nil && a.Name == "tcg" && c.Boot.Kernel != "" {
		c.Boot.Cmdline = qemu.Emulated(d.Arch, c.Boot.Cmdline)
	}
	for i, s := range d.Shares {
		c.Shares = append(c.Shares, qemu.Share{Tag: shareTag(i), Path: s.Host, ReadOnly: s.ReadOnly})
	}
	if d.VM.TPM {
		c.TPM = b.path(tpmDir)
		if err := os.MkdirAll(c.TPM, 0o700); err != nil {
			return c, fmt.Errorf("making the folder of the TPM: %w", err)
		}
	}
	var err error
	c.Disks, err = b.disks()
	return c, err
}

// fetched tells whether the machine gets its kernel over the network.
func (b *body) fetched() bool { return b.Spec.Target == "netboot" }

// installed tells whether it is installed on its disk over the network.
func (b *body) installed() bool { return b.fetched() && !b.Spec.Definition.Netboot.RAM() }

// shareTag names a share to the guest.
func shareTag(i int) string { return "share" + strconv.Itoa(i) }

// prepareConfig readies what the guest helper is told.
func (r *run) prepareConfig(b *body) error {
	cfg := b.Config(r.link)
	cfg.Network = b.interfaces(r.link)
	for i, s := range b.Spec.Definition.Shares {
		cfg.Mounts = append(cfg.Mounts, wire.Mount{Kind: r.vm.Shares[i].Type, Source: shareTag(i), Path: s.Path, ReadOnly: s.ReadOnly})
	}
	payload, err := json.Marshal(cfg)
	if err != nil {
		return fmt.Errorf("encoding the guest's configuration: %w", err)
	}
	r.config = wire.Frame{Kind: wire.KindConfig, Payload: payload}
	return nil
}

// Event takes in what the guest says of its stages. The first time it is told
// what it is to be: not before, because the driver for such ports that UEFI
// has takes in whatever comes.
func (r *run) Event(text string) {
	if !r.configured {
		r.configured = true
		go wire.WriteFrame(r.vm.Agent, r.config) // a guest that never reads it is seen to hang
	}
	if r.resets { // the system on the disk speaks: its restarts are new runs
		r.resets = false
		go r.vm.EndAtReset(context.Background())
	}
	r.watcher.Event(text)
}

// console is the serial port, with somebody who reads along.
type console struct {
	net.Conn
	seen io.Writer
}

func (c console) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.seen.Write(p[:n])
	return n, err
}

// Agent is the host's end of the helper's port.
func (r *run) Agent() io.ReadWriteCloser {
	if r.vm.Agent == nil {
		return nil
	}
	return r.vm.Agent
}

// Console is the serial port.
func (r *run) Console() io.ReadWriter { return r.console }

// PID is QEMU's.
func (r *run) PID() int { return r.vm.PID }

// Traces name QEMU.
func (r *run) Traces() []string { return []string{trace(r.vm.PID)} }

// Link is the machine's place in the lab.
func (r *run) Link() *supervisor.Attachment { return r.link }

// Exited is closed when QEMU has gone.
func (r *run) Exited() <-chan struct{} { return r.vm.Done() }

// PowerOff presses the power button, which guests may ignore.
func (r *run) PowerOff() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return r.vm.PowerDown(ctx)
}

// Kill pulls the plug.
func (r *run) Kill() {
	if r.vm != nil {
		r.vm.Quit(context.Background()) // it is killed when it does not answer
	}
}

// Close gives up what the run had; QEMU has gone.
func (r *run) Close() error {
	r.stop()
	var errs []error
	if r.vm != nil {
		for _, c := range []net.Conn{r.vm.Console, r.vm.Agent} {
			if c != nil {
				c.Close()
			}
		}
	}
	for _, c := range r.cables {
		errs = append(errs, c.Close())
	}
	for _, l := range r.links {
		errs = append(errs, l.Close())
	}
	if r.link != nil {
		errs = append(errs, r.link.Close())
	}
	return errors.Join(errs...)
}

// End turns the end of QEMU into words.
func (r *run) End() supervisor.Ending {
	err := r.vm.Wait()
	var end *qemu.EndError
	switch failed := r.failure(); {
	case failed != nil:
		return supervisor.Ending{State: supervisor.Failed, Reason: failed.Error()}
	case errors.As(err, &end):
		return supervisor.Ending{State: supervisor.Failed, Reason: strings.Join(append([]string{end.Reason}, end.Stderr...), ": ")}
	case err != nil:
		return supervisor.Ending{State: supervisor.Failed, Reason: err.Error()}
	}
	switch how := r.vm.End(); how {
	case "guest-reset":
		return supervisor.Ending{State: supervisor.Stopped, Reboot: true}
	case "guest-shutdown":
		return supervisor.Ending{State: supervisor.Stopped, Reason: "it powered itself off"}
	default:
		return supervisor.Ending{State: supervisor.Failed, Reason: "it was switched off (" + how + ")"}
	}
}

// Memory is what QEMU occupies, which is what of the guest's memory has been
// used once and its own.
func (r *run) Memory() int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", r.vm.PID))
	f := strings.Fields(string(data)) // proc(5): size resident shared ...
	if err != nil || len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
