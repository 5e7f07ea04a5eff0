package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/probe"
	"slipway/internal/target/supervisor"
)

// Names lists the targets that work today, in the order in which people think
// of them.
var Names = []string{"container", "vm", "uefi", "bios", "uboot", "ram", "netboot"}

// later are targets of the design that are not there yet.
var later = []string{"proxmox"}

// handedOver are managers that start machines themselves.
var handedOver = []string{"libvirt", "nspawn"}

// CheckTarget refuses a target that is not there.
func CheckTarget(name string) error {
	works := strings.Join(Names, ", ")
	switch {
	case slices.Contains(Names, name):
		return nil
	case slices.Contains(handedOver, name):
		return fmt.Errorf("slipway starts nothing on %s; hand the machine over with slipway export FILE --%s, or choose: %s", name, name, works)
	case slices.Contains(later, name):
		return fmt.Errorf("target %s is not there yet; what works today: %s", name, works)
	}
	return fmt.Errorf("there is no target %q; what works today: %s", name, works)
}

// Capabilities is what a target offers to the probes of a machine.
func Capabilities(target string, d *machine.Definition) probe.Capabilities {
	have := probe.Capabilities{
		Target: target, Network: true, Exec: true, Terminal: true, Usage: true, Pending: true, Reboot: true,
	}
	if d.FromImage() { // what is known of packages comes with a build
		have.Pending, have.Usage = false, false
	}
	if d.FromTarball() {
		have.Pending = false
	}
	if i := d.Boot.Initramfs; !d.FromImage() && target != "container" && (i == "distro" || i == "none") {
		// Nobody leaves an agent behind: the network and the console are the ways in.
		have.Exec, have.Usage, have.Pending = false, false, false
	}
	return have
}

// class is what a target needs of a tree.
func class(target string) plan.Class {
	if target == "container" {
		return plan.Container
	}
	return plan.Bootable
}

// check finds what cannot work on a target before anything is built.
func (p *Prover) check(ctx context.Context, d *machine.Definition, target string) error {
	if err := CheckTarget(target); err != nil {
		return err
	}
	if d.Init == "none" {
		return fmt.Errorf("%s: init: none makes a tree to be built and entered, not a machine to be started; leave init out", d.At("init"))
	}
	if d.FromImage() && !slices.Contains(stockTargets, target) {
		return fmt.Errorf("%s: a stock image boots from its own disk; start it on %s", d.At("from"), strings.Join(stockTargets, ", "))
	}
	if supervisor.IsFirmware(target) && (!d.Boots(target) || d.NoDisk()) {
		return fmt.Errorf("%s: the disk of this machine does not boot under %s; add it to boot.firmware, or leave the target out", d.At("boot"), strings.ToUpper(target))
	}
	if err := errors.Join(probe.Check(d.Probes, Capabilities(target, d))...); err != nil {
		return err
	}
	driver, err := supervisor.DriverOf(target)
	if err != nil {
		return err
	}
	return driver.Ready(ctx, d.Name)
}
