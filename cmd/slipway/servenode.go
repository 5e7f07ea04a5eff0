package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"slipway/internal/boot"
	"slipway/internal/build"
	"slipway/internal/fleet"
	"slipway/internal/machine"
	"slipway/internal/netboot"
	boothttp "slipway/internal/netboot/http"
	"slipway/internal/netboot/node"
	"slipway/internal/netboot/token"
	"slipway/internal/plan"
)

// nodes is the part of serve that knows what machines are started with, what
// they fetch, and what they are told to do.
type nodes struct {
	env     *Env
	dir     string // the server's folder
	builder *build.Builder
	server  *netboot.Server
	roster  func() *netboot.Roster
	flags   *serveFlags
	pubkey  string
	shelf   node.Shelf
	handler *node.Handler
	starts  *netboot.Builds // the small system, of machines that are installed
	images  *netboot.Builds // what machines run: from memory, or a disk image
}

var _ netboot.Images = (*nodes)(nil)

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
	n.images = &netboot.Builds{Context: ctx, Make: n.makeImage, Note: func(name string, s *netboot.System, err error) {
		what := ""
		if s != nil && s.Kernel == "" {
			what = "the image of"
		}
		e.noteBuild(what)(name, s, err)
	}}
	n.handler = &node.Handler{
		Key: key, Records: &node.InFleet{Fleet: s.Fleet}, Sink: s, Shelf: &n.shelf, Client: node.ClientOf, Offer: n.offer, Proof: n.proof, Inventory: n.inventory,
		Spend: func(r *http.Request, word, what string) (*token.Receipt, error) {
			call := boothttp.CallOf(r)
			return s.Tokens().Spend(word, what, call.From, call.Identity)
		},
	}
	s.Node = n.handler
	return n, nil
}

// Renew makes what a machine is started with and what it fetches, if its
// definition says so.
func (n *nodes) Renew(m *netboot.Machine, ahead bool) {
	if m.Mode == "install" { // else what starts it is made when somebody wants it, such as for a rescue
		if d, err := m.Definition(); err == nil && d.Netboot != nil && d.Netboot.Installer != nil {
			return // its installer brings all
		}
		n.starts.Renew(m, ahead)
	}
	n.images.Renew(m, ahead)
}

// Wait waits until nothing is being made.
func (n *nodes) Wait() {
	n.starts.Wait()
	n.images.Wait()
}

// RAM implements netboot.Images: the newest version, or the last good one in
// its place.
func (n *nodes) RAM(ctx context.Context, m *netboot.Machine) (*netboot.System, error) {
	newest, err := n.images.System(m)
	if err != nil {
		return nil, err
	}
	kept, err := json.Marshal(newest)
	if err != nil {
		return nil, err
	}
	c, err := n.handler.Pick(ctx, node.Client{Machine: m.Name}, newest.Version, kept, newest.Within)
	if err != nil || c.Passed == "" {
		return newest, err
	}
	good, err := keptSystem(c.Version, c.Kept)
	if err != nil { // the newest may yet work; nothing else is there
		n.server.Record(fleet.Event{Machine: m.Name, Kind: fleet.KindScript, Text: err.Error() + "; the newest is handed out"})
		return newest, nil
	}
	return good, nil
}

// keptSystem is a version that was the newest once.
func keptSystem(version string, kept json.RawMessage) (*netboot.System, error) {
	s := new(netboot.System)
	if err := json.Unmarshal(kept, s); err != nil || s.Version != version {
		return nil, fmt.Errorf("nothing is kept of version %.12s", version)
	}
	for _, file := range []string{s.Kernel, s.Initrd, s.Fetch} {
		if _, err := os.Stat(file); file != "" && err != nil {
			return nil, fmt.Errorf("version %.12s is the last good one, and is no longer whole: %w", version, err)
		}
	}
	return s, nil
}

// proof says what a version has to prove.
func (n *nodes) proof(ctx context.Context, c node.Client, version string) (*node.Proof, error) {
	kept, err := n.handler.Kept(ctx, c, version)
	if err != nil {
		return nil, err
	}
	s, err := keptSystem(version, kept)
	if err != nil {
		return nil, err
	}
	return &node.Proof{Within: s.Within, Probes: s.Probes}, nil
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
	return n.starts.System(m)
}

func (n *nodes) build(ctx context.Context, d *machine.Definition, target boot.Target) (*build.Boot, error) {
	r, err := n.builder.Build(ctx, d, n.flags.build.options(plan.Bootable))
	if err != nil {
		return nil, err
	}
	return n.builder.Boot(ctx, r, target)
}

// makeStart makes the small system with a machine's kernel.
func (n *nodes) makeStart(ctx context.Context, d *machine.Definition) (*netboot.System, error) {
	made, err := n.build(ctx, d, boot.Net)
	if err != nil {
		return nil, err
	}
	s, err := n.withProgram(made)
	if err != nil {
		return nil, err
	}
	s.Version, s.Memory = "node-"+made.Key, node.NeedsMemory
	return s, nil
}

// withProgram adds slipway to an initramfs.
func (n *nodes) withProgram(made *build.Boot) (*netboot.System, error) {
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
	return &netboot.System{Version: made.Key, Kernel: made.Kernel, Initrd: name, Cmdline: node.Cmdline(made.Cmdline, ""), Memory: made.Memory}, nil
}

// makeImage makes what a machine runs; the version is the key of the store,
// which keeps old ones until they are collected.
func (n *nodes) makeImage(ctx context.Context, d *machine.Definition) (*netboot.System, error) {
	target := boot.Disk
	switch {
	case d.Netboot.RAM() && d.Netboot.Small():
		target = boot.NetRoot
	case d.Netboot.RAM():
		target = boot.RAM
	}
	made, err := n.build(ctx, d, target)
	if err != nil {
		return nil, err
	}
	if target == boot.Disk {
		return &netboot.System{Version: made.Key, Needs: made.Memory, Fetch: made.Disk, Secret: len(d.Secrets()) > 0}, nil
	}
	s, err := n.withProgram(made)
	if err != nil {
		return nil, err
	}
	s.Within, s.Secret = d.Netboot.Patience(), len(d.Secrets()) > 0
	s.Probes, _ = node.Provable(d.Probes)
	if target == boot.NetRoot {
		s.Fetch, s.Needs, s.Memory = made.Root, made.Memory, node.NeedsMemory
	}
	return s, nil
}

// askAgain is how soon a machine that only waits asks again.
const askAgain = 10 * time.Second

// offer is what there is for a machine.
func (n *nodes) offer(ctx context.Context, c node.Client, q *node.Question) (*node.Offer, error) {
	m := n.roster().Named(c.Machine)
	if m == nil && n.roster().Find(netboot.Facts{MAC: c.MAC}) != nil {
		return &node.Offer{Mode: node.DoDisk}, nil // it was approved meanwhile: it starts again, as that machine
	}
	if m == nil {
		return &node.Offer{Mode: node.DoInventory, Retry: askAgain}, nil
	}
	d, err := m.Definition()
	if err != nil {
		return nil, err
	}
	o := &node.Offer{Machine: m.Name, Mode: node.DoRAM, Recover: m.Recover, Within: d.Netboot.Patience(), Retry: askAgain}
	if d.Netboot != nil {
		o.Disk = d.Netboot.Disk
	}
	for _, u := range d.Users {
		for _, key := range u.SSHKeys {
			o.SSHKeys = append(o.SSHKeys, sshKeyText(key))
		}
	}
	if q.Want == node.DoRescue {
		o.Mode = node.DoRescue
		return o, nil
	}
	kind := "squashfs"
	if m.Mode == "install" {
		o.Mode, kind = node.DoInstall, "raw"
	}
	newest, err := n.images.System(m)
	if err != nil {
		return nil, err
	}
	o.Version = newest.Version
	if o.Kept, err = json.Marshal(newest); err != nil {
		return nil, err
	}
	o.Artefacts = func(version string, kept json.RawMessage) (*node.Artefacts, error) {
		s := newest
		if version != newest.Version {
			if s, err = keptSystem(version, kept); err != nil {
				return nil, err
			}
		}
		a, err := n.shelf.Add(ctx, s.Fetch, kind)
		if err != nil {
			return nil, err
		}
		return &node.Artefacts{Image: a, Memory: s.Needs, Secret: s.Secret}, nil
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
