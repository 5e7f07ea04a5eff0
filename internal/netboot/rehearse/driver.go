// Package rehearse is the target netboot: a virtual machine with an empty disk
// and real firmware, in a lab of its own, and the boot server that would serve
// the real one. It is a driver of package supervisor around that of package vm.
//
// The server runs in the supervisor, with records in memory alone. What it sees
// of the machine are the machine's stages, until its own system tells more.
package rehearse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/lab"
	"slipway/internal/machine"
	"slipway/internal/netboot"
	"slipway/internal/netboot/dhcp"
	"slipway/internal/target/supervisor"
	"slipway/internal/target/vm"
)

// Driver starts such machines; it is registered for the target netboot.
type Driver struct{ vm.Driver }

var _ supervisor.Driver = Driver{}

func init() { supervisor.Register(Driver{}, "netboot") }

// Check wants what the server hands out.
func (d Driver) Check(spec *supervisor.Spec) error {
	if b := spec.Boot; b == nil || b.Kernel == "" || len(b.Loaders) == 0 {
		return errors.New("a machine that boots over the network needs a kernel, and a loader")
	}
	if n := spec.Definition.Netboot; n != nil && n.Installer != nil {
		return fmt.Errorf("%s: another system's installer is not rehearsed; slipway serve starts it on a real machine", spec.Definition.At("netboot.installer"))
	}
	if spec.Isolated {
		return errors.New("a machine that boots over the network needs one")
	}
	return d.Driver.Check(spec)
}

// Parts are the virtual machine's and how it is matched.
func (d Driver) Parts(def *machine.Definition) []supervisor.Part {
	return append(d.Driver.Parts(def), supervisor.Part{Name: "netboot", Value: def.Netboot})
}

// Open readies the machine's folder; the server comes with the lab.
func (d Driver) Open(h *supervisor.Host) (supervisor.Body, error) {
	inner, err := d.Driver.Open(h)
	if err != nil {
		return nil, err
	}
	return &body{Body: inner, host: h}, nil
}

// body is the machine with its server.
type body struct {
	supervisor.Body
	host *supervisor.Host

	stop   context.CancelFunc
	done   chan error
	log    *os.File
	mu     sync.Mutex
	fleet  *fleet.Fleet
	run    vm.Fetched // that is told of events; nil: none
	failed error      // of the server
	within bool       // its small system is there, and not yet the machine's own
}

// Start starts the server, if it does not run yet, and the machine.
func (b *body) Start() (supervisor.Run, error) {
	if b.stop == nil {
		if err := b.serve(); err != nil {
			return nil, fmt.Errorf("starting the boot server: %w", err)
		}
	}
	started, err := b.Body.Start()
	if err != nil {
		return nil, err
	}
	r := run{started.(vm.Fetched), b}
	b.mu.Lock()
	b.run = r
	b.mu.Unlock()
	return r, nil
}

// run is one run of the machine.
type run struct {
	vm.Fetched
	b *body
}

// Explain says why the machine is not further, as slipway boot why would.
func (r run) Explain() string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	name := r.b.host.Spec.Definition.Name
	events, err := r.b.fleet.Events(ctx, name, time.Time{}, 0)
	if err != nil || len(events) == 0 {
		return "the boot server heard nothing of the machine: its firmware found no card to boot from"
	}
	why := fleet.Why(name, events, time.Now())
	return strings.TrimSpace(strings.Join([]string{why.Text, why.Detail, why.Cure}, " "))
}

// Close ends the server.
func (b *body) Close() error {
	var err error
	if b.stop != nil {
		b.stop()
		err = <-b.done
		b.log.Close()
	}
	return errors.Join(err, b.Body.Close())
}

// readyTime is how long the server may take until it answers.
const readyTime = 20 * time.Second

// serve starts the server in the lab.
func (b *body) serve() error {
	ctx, stop := context.WithCancel(context.Background())
	var err error
	if b.log, err = os.OpenFile("netboot.log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		stop()
		return err
	}
	if b.fleet, err = fleet.New(ctx, fleet.NewMemory(fleet.Limits{}), fleet.Options{}); err != nil {
		stop()
		return err
	}
	s, err := b.server(ctx)
	if err != nil {
		stop()
		return err
	}
	b.stop, b.done = stop, make(chan error, 1)
	go func() {
		err := s.Serve(ctx)
		if err != nil && ctx.Err() == nil {
			b.tell(func(r vm.Fetched) { r.Refused(err) })
		}
		b.done <- err
	}()
	select {
	case <-s.Ready():
		return nil
	case err := <-b.done:
		b.done <- nil
		return err
	case <-time.After(readyTime):
		return fmt.Errorf("it does not answer after %s", readyTime)
	}
}

// server is the one that would serve the real machine, with a fleet of one.
func (b *body) server(ctx context.Context) (*netboot.Server, error) {
	l, spec := b.host.Lab(), &b.host.Spec
	address, err := l.Allocate(ctx, spec.Name)
	if err != nil {
		return nil, err
	}
	m := netboot.NewMachine(spec.Definition, func() (*machine.Definition, error) { return spec.Definition, nil })
	m.Match, m.Address = machine.Match{Any: true}, address.IPv4
	roster, errs := netboot.NewRoster([]*netboot.Machine{m})
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s := &netboot.Server{
		Roster: func() *netboot.Roster { return roster }, Fleet: b.fleet, Loaders: spec.Boot.Loaders,
		Images: netboot.Fixed{m.Name: system(spec)}, Sink: fleet.SinkFunc(b.saw), DHCP: dhcpServer(l, spec),
	}
	if spec.Boot.Fetch != "" {
		if err := b.fetching(s); err != nil {
			return nil, err
		}
	}
	own := net.IP(l.Subnets.Gateway4().AsSlice())
	if s.HTTP, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: own, Port: 80}); err != nil {
		return nil, err
	}
	if s.TFTP, err = net.ListenUDP("udp4", &net.UDPAddr{IP: own, Port: 69}); err != nil {
		s.HTTP.Close()
		return nil, err
	}
	return s, nil
}

// system is what the machine boots.
func system(spec *supervisor.Spec) *netboot.System {
	return &netboot.System{
		Version: spec.Key, Kernel: spec.Boot.Kernel, Initrd: spec.Boot.Initrd,
		// On a busy host an emulator may miss the few ticks that the kernel waits for.
		Cmdline: spec.Boot.Cmdline + " no_timer_check", Memory: spec.Boot.Memory,
	}
}

// dhcpServer gives the machine its place in the lab.
func dhcpServer(l *lab.Lab, spec *supervisor.Spec) *dhcp.Server {
	gateway := l.Subnets.Gateway4()
	subnet := dhcp.Subnet{Prefix: l.Subnets.IPv4, DNS: []netip.Addr{gateway}, Domain: lab.Domain, Lease: 12 * time.Hour}
	if spec.Definition.Outside {
		subnet.Router = gateway
	}
	return &dhcp.Server{
		Links: []dhcp.Link{{Name: lab.Bridge, Address: gateway}}, Subnets: []dhcp.Subnet{subnet},
		NoConflictCheck: true, NoRivalCheck: true, // nobody else is there
	}
}

// saw takes in what the server saw of the machine.
func (b *body) saw(e fleet.Event) {
	fmt.Fprintln(b.log, netboot.Line(e))
	b.tell(func(r vm.Fetched) {
		switch {
		case b.node(r, e):
		case e.Kind == fleet.KindScript && e.Problem != "":
			r.Refused(errors.New(e.Problem))
		case e.Kind == fleet.KindHTTPProgress || e.Kind == fleet.KindNodeProgress:
			r.Extend()
		case e.Kind == fleet.KindAck && e.Fields["client"] == string(dhcp.KindSystem):
			r.Evidence(fleet.StageNetwork, e.Time) // counts once the kernel is there
		case e.Stage != "" && e.Problem == "":
			r.Evidence(e.Stage, e.Time)
		}
	})
}

func (b *body) tell(do func(vm.Fetched)) {
	b.mu.Lock()
	run := b.run
	b.mu.Unlock()
	if run != nil {
		do(run)
	}
}
