package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"slipway/internal/boot"
	"slipway/internal/build"
	"slipway/internal/machine"
	"slipway/internal/netboot"
	"slipway/internal/netboot/node"
	"slipway/internal/plan"
)

// nodes is the part of serve that speaks with machines in RAM: what they are
// started with, and what they are told to do.
type nodes struct {
	env     *Env
	dir     string // the server's folder
	builder *build.Builder
	server  *netboot.Server
	roster  func() *netboot.Roster
	flags   *serveFlags
	pubkey  string
	shelf   node.Shelf
	starts  *netboot.Builds // kernel and initrd with slipway in it
	images  *netboot.Builds // what they fetch: a root, or a disk image
}

// serveNodes adds them to a server. Its key lies in dir.
func (e *Env) serveNodes(ctx context.Context, b *build.Builder, s *netboot.Server, roster func() *netboot.Roster, flags *serveFlags, dir string) (*nodes, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := node.Key(dir)
	if err != nil {
		return nil, err
	}
	n := &nodes{env: e, dir: dir, builder: b, server: s, roster: roster, flags: flags}
	if n.pubkey, err = node.PublicKey(filepath.Join(dir, "order.key")); err != nil {
		return nil, err
	}
	n.starts = &netboot.Builds{Context: ctx, Make: n.makeStart, Note: e.noteBuild("what starts")}
	n.images = &netboot.Builds{Context: ctx, Make: n.makeImage, Note: e.noteBuild("the image of")}
	s.Node = &node.Handler{
		Key: key, Records: node.InFleet{Fleet: s.Fleet}, Sink: s, Shelf: &n.shelf, Client: node.ClientOf, Offer: n.offer, Inventory: n.inventory,
	}
	return n, nil
}

// Renew makes what a machine is started with and what it fetches, if its
// definition says so.
func (n *nodes) Renew(m *netboot.Machine, ahead bool) {
	if d, err := m.Definition(); err == nil && d.Netboot != nil && d.Netboot.Installer != nil {
		return // its installer brings all
	}
	n.starts.Renew(m, ahead)
	n.images.Renew(m, ahead)
}

// Wait waits until nothing is being made.
func (n *nodes) Wait() {
	n.starts.Wait()
	n.images.Wait()
}

// RAM implements netboot.Images; it is never asked.
func (n *nodes) RAM(context.Context, *netboot.Machine) (*netboot.System, error) {
	return nil, errors.New("no system")
}

// Memtest implements netboot.Images.
func (n *nodes) Memtest(context.Context, string) (*netboot.System, error) {
	return nil, errors.New("this server has no memory test")
}

// Node implements netboot.Images. An unknown machine gets the kernel of the
// first machine of the fleet.
func (n *nodes) Node(ctx context.Context, m *netboot.Machine) (*netboot.System, error) {
	if m == nil {
		all := n.roster().Machines()
		if len(all) == 0 {
			return nil, errors.New("the fleet is empty: nothing says which kernel looks at unknown machines")
		}
		m = all[0]
	}
	return n.starts.RAM(ctx, m)
}

func (n *nodes) build(ctx context.Context, d *machine.Definition, target boot.Target) (*build.Boot, error) {
	r, err := n.builder.Build(ctx, d, n.flags.build.options(plan.Bootable))
	if err != nil {
		return nil, err
	}
	return n.builder.Boot(ctx, r, target)
}

// makeStart adds slipway to a machine's initramfs.
func (n *nodes) makeStart(ctx context.Context, d *machine.Definition) (*netboot.System, error) {
	made, err := n.build(ctx, d, boot.Net)
	if err != nil {
		return nil, err
	}
	base, err := os.Open(made.Initrd)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	out, err := os.CreateTemp(n.dir, "initrd-*")
	if err != nil {
		return nil, err
	}
	name := filepath.Join(n.dir, "initrd-"+made.Key[:16])
	err = node.Initrd(out, base, node.Payload{Config: node.Config{Key: n.pubkey}})
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), name)
	}
	if err != nil {
		os.Remove(out.Name())
		return nil, err
	}
	return &netboot.System{Version: "node-" + made.Key, Kernel: made.Kernel, Initrd: name, Cmdline: node.Cmdline(made.Cmdline, ""), Memory: node.NeedsMemory}, nil
}

// makeImage makes what the program fetches; the version is the key of the
// store, which keeps old ones until they are collected.
func (n *nodes) makeImage(ctx context.Context, d *machine.Definition) (*netboot.System, error) {
	target := boot.NetRoot
	if !d.Netboot.RAM() {
		target = boot.Disk
	}
	made, err := n.build(ctx, d, target)
	if err != nil {
		return nil, err
	}
	return &netboot.System{Version: made.Key, Memory: made.Memory}, nil
}

// askAgain is how soon a machine that only waits asks again.
const askAgain = 10 * time.Second

// offer is what there is for a machine.
func (n *nodes) offer(ctx context.Context, c node.Client, q *node.Question) (*node.Offer, error) {
	m := n.roster().Named(c.Machine)
	if m == nil {
		return &node.Offer{Mode: node.DoInventory, Retry: askAgain}, nil
	}
	d, err := m.Definition()
	if err != nil {
		return nil, err
	}
	o := &node.Offer{Machine: m.Name, Mode: node.DoRAM, Recover: m.Recover, Within: d.Netboot.Patience(), Retry: askAgain}
	for _, u := range d.Users {
		for _, key := range u.SSHKeys {
			o.SSHKeys = append(o.SSHKeys, sshKeyText(key))
		}
	}
	if q.Want == node.DoRescue {
		o.Mode = node.DoRescue
		return o, nil
	}
	kind, file := "squashfs", "root"
	if m.Mode == "install" {
		o.Mode, o.Disk, kind, file = node.DoInstall, d.Netboot.Disk, "raw", "disk.raw"
	}
	system, err := n.images.RAM(ctx, m)
	if err != nil {
		return nil, err
	}
	o.Version = system.Version
	o.Artefacts = func(version string) (*node.Artefacts, error) {
		dir, ok := n.builder.Store.Image(version)
		if !ok {
			return nil, fmt.Errorf("the store has it no longer: %w", fs.ErrNotExist)
		}
		a, err := n.shelf.Add(ctx, filepath.Join(dir, file), kind)
		if err != nil {
			return nil, err
		}
		return &node.Artefacts{Image: a, Memory: system.Memory}, nil
	}
	return o, nil
}

// sshKeyText is the text of a key: the definition has it, or a file of it.
func sshKeyText(key string) string {
	if data, err := os.ReadFile(key); err == nil {
		return string(data)
	}
	return key
}

// inventory keeps what a machine is made of.
func (n *nodes) inventory(ctx context.Context, c node.Client, h *node.Hardware) error {
	id := c.Machine
	if id == "" {
		id = c.MAC
	}
	data, err := json.Marshal(h)
	if err != nil || id == "" {
		return err
	}
	return n.server.Fleet.SetInventory(ctx, id, data)
}
