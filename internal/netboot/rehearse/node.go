package rehearse

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/fleet"
	"slipway/internal/netboot"
	"slipway/internal/netboot/dhcp"
	"slipway/internal/netboot/node"
	"slipway/internal/target/vm"
)

// fetching adds what a machine needs that fetches a disk image or its root: an
// initrd with slipway in it, and the answers to its questions.
func (b *body) fetching(s *netboot.Server) error {
	spec := &b.host.Spec
	dir := filepath.Join(spec.RunDir, "node")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	key, err := node.Key(dir)
	if err != nil {
		return err
	}
	public, err := node.PublicKey(filepath.Join(dir, "order.key"))
	if err != nil {
		return err
	}
	start := system(spec)
	if start.Initrd, err = addProgram(dir, start.Initrd, public); err != nil {
		return err
	}
	start.Cmdline, start.Memory = node.Cmdline(start.Cmdline, ""), node.NeedsMemory
	start.Fetch = spec.Boot.Fetch
	s.Images = netboot.Fixed{netboot.NodeSystem: start, spec.Definition.Name: start}
	shelf := new(node.Shelf)
	s.Node = &node.Handler{
		Key: key, Records: &node.InFleet{Fleet: b.fleet}, Sink: s, Shelf: shelf, Client: node.ClientOf,
		Offer: func(ctx context.Context, _ node.Client, _ *node.Question) (*node.Offer, error) {
			return b.offer(shelf), nil
		},
	}
	b.within = true
	return nil
}

// addProgram writes the initrd.
func addProgram(dir, base, public string) (name string, err error) {
	in, err := os.Open(base)
	if err != nil {
		return "", err
	}
	defer in.Close()
	name = filepath.Join(dir, "initrd")
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	err = node.Initrd(out, in, node.Payload{Config: node.Config{Key: public}})
	return name, errors.Join(err, out.Close())
}

// offer is what there is for the machine.
func (b *body) offer(shelf *node.Shelf) *node.Offer {
	spec := &b.host.Spec
	d := spec.Definition
	o := &node.Offer{Machine: d.Name, Mode: node.DoRAM, Version: spec.Boot.Key, Within: d.Netboot.Patience()}
	kind := "squashfs"
	if !d.Netboot.RAM() {
		o.Mode, o.Recover, kind = node.DoInstall, d.Netboot.Recover, "raw"
	}
	if d.Netboot != nil {
		o.Disk = diskHere(d.Netboot.Disk, vm.DiskSerial(d))
	}
	o.Artefacts = func(string, json.RawMessage) (*node.Artefacts, error) {
		a, err := shelf.Add(context.Background(), spec.Boot.Fetch, kind)
		return &node.Artefacts{Image: a, Memory: spec.Boot.Memory}, err
	}
	return o
}

// diskHere is the selector of the rehearsal's disk. A serial number must be the
// virtual disk's; a place among the real machine's controllers is not here.
func diskHere(selector, serial string) string {
	if strings.HasPrefix(selector, "serial:") {
		return selector
	}
	return "serial:" + serial
}

// node takes in what the small system tells, and says whether that is all there
// is to an event.
func (b *body) node(r vm.Fetched, e fleet.Event) bool {
	if b.host.Spec.Boot.Fetch == "" {
		return false
	}
	own := b.over()
	switch {
	case e.Kind == fleet.KindInstallFail, e.Kind == fleet.KindNodeProblem:
		r.Refused(errors.New(e.Problem))
	case e.Kind == fleet.KindInstallDone, e.Kind == fleet.KindNodeInit && e.Fields["do"] == node.DoDisk:
		b.leave()
		r.Evidence(fleet.StageInstall, e.Time)
	case e.Kind == fleet.KindNodeInit && e.Fields["do"] == node.DoRAM:
		b.leave()
	case e.Stage == fleet.StageInstall:
		r.Extend()
	case !own && e.Kind == fleet.KindAck && e.Fields["client"] == string(dhcp.KindSystem): // the small system's own address
	case own && e.Stage != "" && e.Problem == "":
		r.Extend() // on its way to its disk
		return false
	default:
		return false
	}
	return true
}

// over tells whether the small system has done its work.
func (b *body) over() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.within
}

func (b *body) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.within = false
}
