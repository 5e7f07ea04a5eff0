package netplay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/fleet/logs"
	"slipway/internal/fleet/natsstore"
	"slipway/internal/machine"
	"slipway/internal/netboot"
	"slipway/internal/netboot/approve"
	"slipway/internal/netboot/dhcp"
	"slipway/internal/netboot/ipxe"
	"slipway/internal/netboot/node"
	"slipway/internal/web"
)

// setup is a boot server: what the flags of serve would say, and the folder
// that holds all it serves.
type setup struct {
	Dir   string       // kernel, initrd, root, disk.raw and the loaders; fleet/ has the definitions
	Link  string       // interface
	Own   netip.Prefix // our address there
	Pool  []dhcp.Range
	Proxy bool
	State string // folder of records and leases; empty: memory
}

// server is one that runs.
type server struct {
	*netboot.Server
	setup  setup
	folder *netboot.Folder
	page   http.Handler
	system atomic.Pointer[netboot.System]
	shelf  node.Shelf
	ahead  atomic.Int64 // how far the page's clock is ahead
	done   chan error
	stop   context.CancelFunc
}

// open readies a server as slipway serve does, with systems that are made
// already.
func (c setup) open(ctx context.Context, sink fleet.Sink) (*server, error) {
	s := &server{setup: c, Server: &netboot.Server{Sink: sink}, done: make(chan error, 1)}
	ctx, s.stop = context.WithCancel(ctx)
	var err error
	var store fleet.Store = fleet.NewMemory(fleet.Limits{})
	if c.State != "" {
		if store, err = natsstore.Open(filepath.Join(c.State, "records"), fleet.Limits{}); err != nil {
			return nil, err
		}
	}
	if s.Fleet, err = fleet.New(ctx, store, fleet.Options{}); err != nil {
		return nil, err
	}
	var wrong []string
	s.folder, err = netboot.OpenFolder(filepath.Join(c.Dir, "fleet"), machine.Options{HostArch: "amd64"}, func(text string) { wrong = append(wrong, text) })
	if err != nil || len(wrong) > 0 {
		return nil, errors.Join(err, errors.New(strings.Join(wrong, "\n")))
	}
	s.declare()
	if err := s.sockets(); err != nil {
		return nil, err
	}
	system := &netboot.System{Version: "v1", Kernel: c.file("vmlinuz"), Initrd: c.file("initrd"), Cmdline: "quiet", Memory: 256 << 20}
	s.system.Store(system)
	s.Roster, s.Images = s.folder.Roster, images{&s.system, c.file("root")}
	s.Loaders = map[string]string{ipxe.BIOS: c.file(ipxe.BIOS), ipxe.UEFI: c.file(ipxe.UEFI)}
	if err := s.nodes(); err != nil {
		return nil, err
	}
	a := approve.Approver{Fleet: s.Fleet, Folder: s.folder, Dir: c.file("fleet"), Load: machine.Options{HostArch: "amd64"}}
	s.page = web.New(ctx, s.Fleet, web.Options{Actions: web.Actions{Suggest: a.Suggest, Approve: a.Save}, Now: func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }})
	s.Pages = s.page
	go func() {
		err := s.Serve(ctx)
		s.done <- errors.Join(err, s.Fleet.Close())
	}()
	select {
	case <-s.Ready():
		return s, nil
	case err := <-s.done:
		return nil, err
	case <-time.After(20 * time.Second):
		return nil, errors.New("the server is not ready after 20 s")
	}
}

// declare makes the folder's machines known.
func (s *server) declare() {
	for _, m := range s.folder.Roster().Machines() {
		s.Fleet.Declare(m.Name, func(n *fleet.Node) { n.Name, n.Definition, n.Mode, n.Clients = m.Name, m.Place, m.Mode, m.Match.MAC })
	}
}

func (c setup) file(name string) string { return filepath.Join(c.Dir, name) }

// sockets opens what clients speak to.
func (s *server) sockets() (err error) {
	c := &s.setup
	s.DHCP = &dhcp.Server{Links: []dhcp.Link{{Name: c.Link, Address: c.Own.Addr()}}, Subnets: []dhcp.Subnet{{Prefix: c.Own.Masked(), Pools: c.Pool}}}
	if c.Proxy {
		s.DHCP.Mode, s.DHCP.Subnets = dhcp.Proxy, nil
	}
	if c.State != "" && !c.Proxy {
		if s.DHCP.Leases, err = dhcp.OpenLeases(filepath.Join(c.State, "leases")); err != nil {
			return err
		}
	}
	if s.HTTP, s.TFTP, err = netboot.Listen(c.Own.Addr(), 80); err != nil {
		return err
	}
	conn, err := net.ListenPacket("udp", netip.AddrPortFrom(c.Own.Addr(), 514).String())
	if err != nil {
		return err
	}
	r := &logs.Receiver{Sink: s, Who: func(from netip.Addr) (client, machine string) {
		n, _ := s.Fleet.At(from.String())
		return strings.Join(n.Clients[:min(1, len(n.Clients))], ""), n.Name
	}}
	ctx, stop := context.WithCancel(context.Background())
	before := s.stop
	s.stop = func() { before(); stop(); conn.Close() }
	go r.Serve(ctx, conn)
	return nil
}

// images has one system for all, and the small one.
type images struct {
	system *atomic.Pointer[netboot.System]
	root   string
}

func (i images) RAM(_ context.Context, m *netboot.Machine) (*netboot.System, error) {
	s := *i.system.Load()
	if s.Within = time.Minute; m.Small {
		s.Fetch = i.root
	}
	return &s, nil
}
func (i images) Node(context.Context, *netboot.Machine) (*netboot.System, error) {
	return i.system.Load(), nil
}
func (i images) Memtest(context.Context, string) (*netboot.System, error) {
	return nil, errors.New("none")
}

// nodes serves what small systems ask.
func (s *server) nodes() error {
	key, err := node.Key(s.setup.Dir)
	if err != nil {
		return err
	}
	s.Node = &node.Handler{
		Key: key, Records: &node.InFleet{Fleet: s.Fleet}, Sink: s, Shelf: &s.shelf, Client: node.ClientOf,
		Offer: func(ctx context.Context, c node.Client, _ *node.Question) (*node.Offer, error) {
			m := s.roster().Named(c.Machine)
			switch {
			case m == nil && s.roster().Find(netboot.Facts{MAC: c.MAC}) != nil:
				return &node.Offer{Mode: node.DoDisk}, nil
			case m == nil:
				return &node.Offer{Mode: node.DoInventory, Retry: 10 * time.Second}, nil
			}
			o := &node.Offer{Machine: m.Name, Mode: node.DoRAM, Version: "v1", Within: time.Minute, Retry: 10 * time.Second}
			file, kind := "root", "squashfs"
			if m.Mode == "install" {
				o.Mode, o.Disk, file, kind = node.DoInstall, "serial:TARGET", "disk.raw", "raw"
			}
			o.Artefacts = func(string, json.RawMessage) (*node.Artefacts, error) {
				a, err := s.shelf.Add(ctx, s.setup.file(file), kind)
				return &node.Artefacts{Image: a}, err
			}
			return o, nil
		},
		Inventory: func(ctx context.Context, c node.Client, h *node.Hardware) error {
			id := c.Machine
			if id == "" {
				id = c.MAC
			}
			data, err := json.Marshal(h)
			if err != nil {
				return err
			}
			return s.Fleet.SetInventory(ctx, id, data)
		},
	}
	return nil
}

func (s *server) roster() *netboot.Roster { return s.folder.Roster() }

// why asks what slipway boot why asks, that much later.
func (s *server) why(t testing.TB, machine string, later time.Duration) fleet.Answer {
	t.Helper()
	ok(t, s.Fleet.Flush(t.Context()))
	s.ahead.Store(int64(later))
	var d web.Detail
	if status := s.ask(t, http.MethodGet, "/api/machines/"+machine, "", &d); status != http.StatusOK {
		t.Fatalf("the page says %d", status)
	}
	return d.Why
}

// ask asks the page, as a program of this host may.
func (s *server) ask(t testing.TB, method, path, token string, v any) int {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = "@" // as a socket
	r.Header.Set("X-Slipway-Token", token)
	w := httptest.NewRecorder()
	s.page.ServeHTTP(w, r)
	ok(t, json.Unmarshal(w.Body.Bytes(), v))
	return w.Code
}

// world is a server with its cable.
type world struct {
	*server // nil: it runs in a process of its own
	t       testing.TB
	lan     *segment
}

const name, mac = "node1", "52:54:00:00:00:01"

// ram and installing are how a machine is defined.
const (
	ram        = "{mode: ram}"
	small      = "{mode: ram, initrd: small}"
	installing = "{mode: install, disk: \"serial:TARGET\"}"
)

// newSetup fills a folder. The machine has the address .50.
func newSetup(t testing.TB, lan *segment, netboot string) setup {
	t.Helper()
	c := setup{Dir: t.TempDir(), Link: lan.name, Own: lan.prefix, Pool: []dhcp.Range{{First: lan.addr(100), Last: lan.addr(103)}}}
	for name, size := range map[string]int{ipxe.BIOS: 70 << 10, ipxe.UEFI: 200 << 10, "vmlinuz": 1 << 20, "initrd": 2 << 20, "root": 3 << 20, "disk.raw": 3 << 20} {
		ok(t, os.WriteFile(c.file(name), bytes.Repeat([]byte(fmt.Sprintf("%-16s", name)), size/16), 0o644))
	}
	ok(t, os.Mkdir(c.file("fleet"), 0o755))
	c.define(t, name, strings.TrimSuffix(netboot, "}")+fmt.Sprintf(", address: %s, match: {mac: %q}}", lan.addr(50), mac))
	return c
}

// define writes a definition into the fleet's folder.
func (c setup) define(t testing.TB, name, netboot string) {
	t.Helper()
	text := fmt.Sprintf("slipway: v1\nname: %s\nsystem: debian/trixie\narch: amd64\nnetboot: %s\n", name, netboot)
	ok(t, os.WriteFile(filepath.Join(c.Dir, "fleet", name+".yaml"), []byte(text), 0o644))
}

// newWorld starts a server in this process.
func newWorld(t testing.TB, netboot string, change ...func(*setup)) *world {
	t.Helper()
	lan := newSegment(t)
	c := newSetup(t, lan, netboot)
	for _, f := range change {
		f(&c)
	}
	s, err := c.open(context.Background(), fleet.SinkFunc(func(e fleet.Event) { t.Log(line(e)) }))
	ok(t, err)
	t.Cleanup(func() {
		s.stop()
		if err := <-s.done; err != nil {
			t.Error(err)
		}
	})
	return &world{s, t, lan}
}

func line(e fleet.Event) string { return netboot.Line(e) }
