package supervisor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"slipway/internal/lab"
	"slipway/internal/sandbox"

	"golang.org/x/sys/unix"
)

// network is the supervisor's membership in the lab.
type network struct {
	lab    *lab.Lab
	cancel context.CancelFunc
	dialer net.Dialer
	served bool // the ports are being forwarded
	ctx    context.Context
}

// Attachment is a machine's place in the lab; that of an isolated machine is empty.
type Attachment struct {
	Link   *lab.Link
	Lab    *lab.Lab
	list   []netip.Addr
	resolv string // content of the machine's resolv.conf
}

func (a *Attachment) addresses() []string {
	list := []string{}
	for _, ip := range a.list {
		list = append(list, ip.String())
	}
	return list
}

func (a *Attachment) Close() error {
	if a.Link == nil {
		return nil
	}
	return a.Link.Close()
}

func labDir(runtime string) string { return filepath.Join(runtime, "lab") }

// labDir is the folder of the lab that the machine is in.
func (s *Spec) labDir() string {
	if s.OwnLab {
		return filepath.Join(s.Runtime, "labs", s.Name)
	}
	return labDir(s.Runtime)
}

// leaveNoLab removes what the lab of one machine has left.
func (s *Spec) leaveNoLab(ctx context.Context) error {
	if !s.OwnLab {
		return nil
	}
	return joinErrors(lab.RepairAt(ctx, s.labDir()), os.RemoveAll(s.labDir()))
}

// enterLab starts the supervisor inside the lab's namespaces. The function
// that it returns leaves the lab and is called when the supervisor is a member
// itself, or has ended.
func enterLab(ctx context.Context, host *sandbox.Host, o orders, files []*os.File) (*os.Process, func() error, error) {
	l, err := lab.JoinAt(ctx, host, o.Spec.labDir())
	if err != nil {
		return nil, nil, err
	}
	if o.Spec.Definition.Outside && !o.Spec.Isolated {
		if err := l.OpenOutside(ctx); err != nil {
			return nil, nil, joinErrors(err, l.Leave())
		}
	}
	cmd := l.Command(supervisorEntry)
	cmd.Env, cmd.Files, cmd.NewMount = supervisorEnv(), files, true
	p, err := cmd.Start()
	if err != nil {
		return nil, nil, joinErrors(err, l.Leave())
	}
	return p, l.Leave, nil
}

func joinNetwork(s *supervisor) (*network, error) {
	ctx, cancel := context.WithCancel(context.Background())
	l, err := lab.Inside(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	n := &network{lab: l, ctx: ctx, cancel: cancel}
	server := net.JoinHostPort(l.Subnets.Gateway4().String(), "53")
	n.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
	serve := l.Serve
	if s.Spec.OwnLab {
		serve = l.ServeNames // addresses are the machine's driver's business
	}
	go func() {
		if err := serve(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "supervisor:", err)
		}
	}()
	return n, nil
}

func (s *supervisor) closeNetwork() error {
	if s.net == nil {
		return nil
	}
	s.net.cancel()
	err := s.net.lab.Leave()
	if s.Spec.OwnLab {
		err = joinErrors(err, os.RemoveAll(s.Spec.labDir()))
	}
	return err
}

// attach gives the machine its place in the lab, by the interface that connect makes.
func (n *network) attach(s *supervisor, connect func(context.Context, *lab.Lab, lab.Machine) (*lab.Link, error)) (*Attachment, error) {
	if s.Spec.Isolated {
		return &Attachment{}, nil
	}
	m := lab.Machine{Name: s.Spec.Name, Outside: s.Spec.Definition.Outside}
	if h := s.Spec.hostname(); h != m.Name {
		m.Aliases = []string{h}
	}
	link, err := connect(n.ctx, n.lab, m)
	if err != nil {
		return nil, err
	}
	a := &Attachment{Link: link, Lab: n.lab, resolv: "nameserver " + n.lab.Subnets.Gateway4().String() + "\n"}
	for _, ip := range []netip.Addr{link.IPv4, link.IPv6} {
		if ip.IsValid() {
			a.list = append(a.list, ip)
		}
	}
	return a, n.forward(s, link.IPv4)
}

// forward passes connections to the inherited listeners on to the machine. Its
// address does not change over restarts, so this is done once.
func (n *network) forward(s *supervisor, to netip.Addr) error {
	if n.served {
		return nil
	}
	n.served = true
	for i, info := range s.Listeners {
		f := &lab.Forward{Target: net.JoinHostPort(to.String(), strconv.Itoa(info.Port)), Dialer: &n.dialer}
		if err := n.serveForward(f, s.files[i], info); err != nil {
			return fmt.Errorf("forwarding %s: %w", info.Address, err)
		}
	}
	return nil
}

func (n *network) serveForward(f *lab.Forward, file *os.File, info listenerInfo) error {
	defer file.Close()
	if info.UDP {
		pc, err := net.FilePacketConn(file)
		if err != nil {
			return err
		}
		go f.ServeUDP(n.ctx, pc)
		return nil
	}
	l, err := net.FileListener(file)
	if err != nil {
		return err
	}
	go f.ServeTCP(n.ctx, l)
	return nil
}

// dial connects from inside the lab; its names resolve.
func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return n.dialer.DialContext(ctx, network, address)
}

// privateMounts keeps this process's mounts from the host.
func privateMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the supervisor's mounts private: %w", err)
	}
	return nil
}
