package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"

	"slipway/internal/build"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/probe"
	"slipway/internal/target/cloud"
	"slipway/internal/target/supervisor"
	"slipway/internal/target/vm"
)

// stockTargets start a stock image by its own loader: no kernel of it is known.
var stockTargets = []string{"vm", "uefi", "bios"}

// stockFirmware is what a stock image boots under on a target.
func stockFirmware(d *machine.Definition, target string) string {
	if target == "vm" {
		return d.Firmwares()[len(d.Firmwares())-1] // bios, unless it is left out
	}
	return target
}

// StockStarter finds what starts a stock image.
type StockStarter interface {
	Stock(ctx context.Context, d *machine.Definition, stock *cloud.Stock, target string) (*supervisor.Boot, error)
}

var _ StockStarter = (*Images)(nil)

// Stock says how a stock image is started.
func (i *Images) Stock(ctx context.Context, d *machine.Definition, stock *cloud.Stock, target string) (*supervisor.Boot, error) {
	programs, err := i.programs(ctx, d)
	if err != nil {
		return nil, err
	}
	return &supervisor.Boot{
		Key: stock.Key, Disk: stock.Disk, Format: stock.Format, DiskSize: stock.Size, Seed: stock.Seed,
		Firmware: stockFirmware(d, target), QEMU: programs,
	}, nil
}

// makeStock readies a stock image in place of a build.
func (o *one) makeStock(ctx context.Context, d *machine.Definition, name string) (supervisor.Spec, error) {
	var none supervisor.Spec
	starter, ok := o.Imager.(StockStarter)
	if !ok {
		return none, fmt.Errorf("target %s: this program starts no stock images", o.target)
	}
	end := o.stages.Begin("image")
	stock, err := cloud.Prepare(ctx, o.Builder, d, name, SSHDir(o.Builder.Store.Dir()))
	end(err)
	if err != nil {
		return none, err
	}
	o.stock = stock
	o.result = &build.Result{Prepared: &build.Prepared{Definition: o.d, Lock: &plan.Lock{}}, Key: stock.Key}
	spec, err := o.spec(d, name)
	if err != nil {
		return spec, err
	}
	spec.Boot, err = starter.Stock(ctx, d, stock, o.target)
	return spec, errors.Join(err, SSHDir(o.Builder.Store.Dir()).Learn(name, []ssh.PublicKey{stock.HostKey}))
}

// configured waits until cloud-init has done what the seed asks for, which is
// this machine's goal: probes begin then.
func (o *one) configured(ctx context.Context, m *supervisor.Machine) error {
	end := o.stages.Begin("cloud-init")
	step := o.Progress.Step("wait for cloud-init")
	err := o.awaitCloud(ctx, m)
	step.Done(err)
	end(err)
	return err
}

func (o *one) awaitCloud(ctx context.Context, m *supervisor.Machine) error {
	wait, cancel := context.WithTimeout(ctx, initDeadline(o.target))
	defer cancel()
	reach, err := m.Reach(wait)
	if err != nil {
		return err
	}
	defer reach.Close()
	way, err := o.way(reach, m.Name)
	if err != nil {
		return err
	}
	for {
		var failed *cloud.FailedError
		if err = way.Finished(wait); err == nil || errors.As(err, &failed) {
			return err
		}
		if now, findErr := supervisor.Find(o.Runtime, m.Name); findErr == nil && !now.Running() {
			return fmt.Errorf("the machine ended while it configured itself: %s", now.Reason)
		}
		select {
		case <-wait.Done():
			return noWayIn(ctx, m, err)
		case <-time.After(time.Second):
		}
	}
}

// noWayIn says that ssh did not let slipway in, and what the console showed.
func noWayIn(ctx context.Context, m *supervisor.Machine, cause error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := fmt.Errorf("its ssh server did not let root in within %s (does the image have cloud-init and an ssh server?): %w", initDeadline(m.Target), cause)
	if lines := m.ConsoleTail(ctx); lines != "" {
		err = fmt.Errorf("%w; the console's last lines:\n%s", err, lines)
	}
	return err
}

// way is how commands get into a stock image.
func (o *one) way(reach *supervisor.Reach, name string) (*cloud.Way, error) {
	pair, err := SSHDir(o.Builder.Store.Dir()).Key()
	if err != nil {
		return nil, err
	}
	return &cloud.Way{
		Machine: name, Key: pair.Signer, HostKey: o.stock.HostKey,
		Dial: func(ctx context.Context) (net.Conn, error) { return reach.DialSSH(ctx, "22") },
	}, nil
}

// prober is the way of the probes to a machine.
func (o *one) prober(reach *supervisor.Reach, name string) (probe.Reach, error) {
	p := &prober{Reach: reach, builder: o.Builder, result: o.result}
	if o.stock == nil {
		return p, nil
	}
	way, err := o.way(reach, name)
	return &stockProber{p, way}, err
}

// stockProber runs commands through ssh.
type stockProber struct {
	*prober
	way *cloud.Way
}

// Exec runs a program in the machine.
func (p *stockProber) Exec(ctx context.Context, req probe.ExecRequest) (probe.ExecResult, error) {
	return p.way.Exec(ctx, req)
}

// notes is where what was found out about this host is kept.
func (i *Images) notes() string { return filepath.Join(i.Builder.Store.Dir(), "notes") }

// programs finds QEMU and what belongs to it, and says once how slow it is.
func (i *Images) programs(ctx context.Context, d *machine.Definition) ([]byte, error) {
	if i.Builder.Tools == nil {
		return nil, errors.New("this program has no tools to run virtual machines with")
	}
	programs, slow, err := vm.Find(ctx, i.Builder.Tools, d, i.notes())
	if err == nil && slow != "" {
		i.slow.Do(func() { i.Builder.Progress.Note(slow) })
	}
	return programs, err
}
