package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/fleet"
	"slipway/internal/machine"
	"slipway/internal/netboot"
	"slipway/internal/netboot/approve"
	"slipway/internal/netboot/dhcp"
	boothttp "slipway/internal/netboot/http"
	"slipway/internal/web"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	link, pool, router  string
	dns                 []string
	port, tls           int
	certified           bool
	state, passwordFile string
	proxy, noDHCP       bool
	build               buildFlags
}

func newServe(env *Env) *cobra.Command {
	var flags serveFlags
	cmd := &cobra.Command{
		Use:   "serve DIR",
		Short: "Boot machines over the network",
		Long: `Serve the machines of a folder of definitions, or of one definition: DHCP, TFTP,
HTTP, and the loader's script of each, made when it is asked for. A machine is
what has the key netboot; a file with the key machines lists machines over a
base. Changes in the folder act within a second. Systems are built when they are
first needed, and again when their definition changes; until then the old
version is served.

Without --pool only machines with netboot.address get an address. With --proxy
another DHCP server gives the addresses, and slipway adds what is booted.
It prints one line for everything that happens, with --json one document.`,
		Example: `  slipway serve fleet/ --interface eth1 --pool 192.0.2.100-192.0.2.200
  slipway serve fleet/ --interface eth0 --proxy --json
  slipway serve node1.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name the folder of the fleet, or one definition")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return env.serve(cmd.Context(), args[0], &flags) },
	}
	cmd.Flags().StringVar(&flags.link, "interface", "", "serve this `INTERFACE`; default: the only one with an address")
	cmd.Flags().StringVar(&flags.pool, "pool", "", "give addresses of this `RANGE` to machines without one of their own: FIRST-LAST")
	cmd.Flags().StringVar(&flags.router, "router", "", "tell machines this `ADDRESS` as their way out")
	cmd.Flags().StringSliceVar(&flags.dns, "dns", nil, "tell machines these `ADDRESSES` of name servers")
	cmd.Flags().IntVar(&flags.port, "http-port", 80, "serve HTTP on this `PORT`")
	cmd.Flags().IntVar(&flags.tls, "https-port", 0, "serve HTTPS too, on this `PORT`, with an authority of the server's own; default: no HTTPS")
	cmd.Flags().BoolVar(&flags.certified, "require-client-cert", false, "give secrets only over HTTPS to the machine's certificate (slipway boot cert), or to its stick")
	cmd.Flags().BoolVar(&flags.proxy, "proxy", false, "another DHCP server gives the addresses")
	cmd.Flags().BoolVar(&flags.noDHCP, "no-dhcp", false, "answer no DHCP: machines are led here by another server")
	cmd.Flags().StringVar(&flags.state, "state", "", "keep what is known of the machines in this `DIR` (default: serve/fleet in the store)")
	cmd.Flags().StringVar(&flags.passwordFile, "password-file", "", "open the page to other hosts with the password whose hash is in this `FILE`; default: one made anew and printed")
	flags.build.add(cmd)
	return streaming(env, cmd)
}

// serve runs the boot server until ctx ends.
func (e *Env) serve(ctx context.Context, dir string, flags *serveFlags) error {
	prefix, link, err := netboot.Interface(flags.link)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s := &netboot.Server{Admission: &boothttp.Admission{Transfers: fedAtOnce}}
	if s.DHCP, err = flags.dhcp(prefix, link); err != nil {
		return err
	}
	folder, err := netboot.OpenFolder(dir, machine.Options{Set: e.opt.set}, e.say)
	if err != nil {
		return err
	}
	b, err := e.builder()
	if err != nil {
		return err
	}
	if s.Loaders, err = b.Tools.IPXE(ctx); err != nil {
		return err
	}
	if s.HTTP, s.TFTP, err = netboot.Listen(prefix.Addr(), flags.port); err != nil {
		return err
	}
	if err = e.serveTLS(s, prefix.Addr(), filepath.Join(b.Store.Dir(), "serve"), flags); err != nil {
		return err
	}
	if s.DHCP != nil && s.DHCP.Mode == dhcp.Full {
		if s.DHCP.Leases, err = dhcp.OpenLeases(filepath.Join(b.Store.Dir(), "serve", link, "leases")); err != nil {
			return err
		}
		defer s.DHCP.Leases.Close()
	}
	closeFleet, err := e.serveFleet(ctx, s, folder, dir, prefix, link, flags)
	if err != nil {
		return err
	}
	defer closeFleet()
	nodes, err := e.serveNodes(ctx, b, s, folder.Roster, flags, filepath.Join(b.Store.Dir(), "serve"))
	if err != nil {
		return err
	}
	defer nodes.Wait()
	defer stop()
	s.Roster, s.Images, s.Sink = folder.Roster, nodes, fleet.SinkFunc(e.event)
	renew := func(names []string) {
		roster := folder.Roster()
		ahead := len(roster.Machines()) <= builtAhead
		for _, name := range names {
			m := roster.Named(name)
			if m == nil {
				continue
			}
			declare(s.Fleet, m)
			nodes.Renew(m, ahead)
		}
	}
	var all []string
	for _, m := range folder.Roster().Machines() {
		all = append(all, m.Name)
	}
	renew(all)
	go folder.Watch(ctx, func(names []string) {
		e.say("changed: " + few(names))
		renew(names)
	})
	page := e.page(ctx, s.Pages, flags.port)
	go func() {
		select {
		case <-s.Ready():
			e.say(flags.greeting(prefix, link, len(folder.Roster().Machines())) + page)
		case <-ctx.Done():
		}
	}()
	return s.Serve(ctx)
}

// greeting says what is served where.
func (f *serveFlags) greeting(prefix netip.Prefix, link string, machines int) string {
	who := "DHCP on port 67 and 4011"
	switch {
	case f.noDHCP:
		who = "no DHCP"
	case f.proxy:
		who = "DHCP as a proxy on port 67 and 4011"
	case f.pool != "":
		who += ", addresses " + f.pool
	default:
		who += ", addresses only for machines with netboot.address"
	}
	return fmt.Sprintf("serving %d machines on %s (%s): %s; TFTP on port 69; HTTP on port %d", machines, link, prefix, who, f.port)
}

// page shows the page to this computer, which is not on the machines' network.
// It returns where.
func (e *Env) page(ctx context.Context, pages http.Handler, port int) string {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Sprintf("; no page, for port %d of 127.0.0.1 is in use by %s", port, netboot.Holder("tcp", port))
	}
	server := &http.Server{Handler: pages, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	context.AfterFunc(ctx, func() { server.Close() })
	go server.Serve(l)
	return fmt.Sprintf("; page on http://%s/", l.Addr())
}

// dhcp is the DHCP server that the flags want; nil: none.
func (f *serveFlags) dhcp(prefix netip.Prefix, link string) (*dhcp.Server, error) {
	if f.noDHCP {
		return nil, nil
	}
	s := &dhcp.Server{Links: []dhcp.Link{{Name: link, Address: prefix.Addr()}}}
	if f.proxy {
		if f.pool != "" || f.router != "" || len(f.dns) > 0 {
			return nil, usageError("with --proxy the other server gives addresses: leave --pool, --router and --dns out")
		}
		s.Mode = dhcp.Proxy
		return s, nil
	}
	subnet := dhcp.Subnet{Prefix: prefix.Masked()}
	var err error
	if f.pool != "" {
		first, last, ok := strings.Cut(f.pool, "-")
		r := dhcp.Range{}
		r.First, err = netip.ParseAddr(first)
		if err == nil {
			r.Last, err = netip.ParseAddr(last)
		}
		if !ok || err != nil || !prefix.Contains(r.First) || !prefix.Contains(r.Last) {
			return nil, usageError("--pool %s: want FIRST-LAST, two addresses of %s", f.pool, prefix.Masked())
		}
		subnet.Pools = []dhcp.Range{r}
	}
	if f.router != "" {
		if subnet.Router, err = netip.ParseAddr(f.router); err != nil {
			return nil, usageError("--router %s is no address", f.router)
		}
	}
	for _, text := range f.dns {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, usageError("--dns %s is no address", text)
		}
		subnet.DNS = append(subnet.DNS, a)
	}
	s.Subnets = []dhcp.Subnet{subnet}
	return s, nil
}

// noteBuild says that something was made for a machine, or why it was not.
func (e *Env) noteBuild(what string) func(string, *netboot.System, error) {
	return func(name string, s *netboot.System, err error) {
		name = strings.TrimSpace(what + " " + name)
		if err != nil {
			e.say(fmt.Sprintf("%s cannot be built: %v", name, err))
			return
		}
		e.say(fmt.Sprintf("%s is ready: version %.12s", name, s.Version))
	}
}

// builtAhead is how many machines a fleet may have whose systems are made before
// they are asked for. In a larger one the first that is switched on would wait
// behind all the others.
const builtAhead = 16

// few names some of many.
func few(names []string) string {
	if more := len(names) - 10; more > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:10], ", "), more)
	}
	return strings.Join(names, ", ")
}

// declare makes a machine known before it is heard of.
func declare(f *fleet.Fleet, m *netboot.Machine) {
	f.Declare(m.Name, func(n *fleet.Node) {
		n.Name, n.Definition, n.Mode = m.Name, m.Place, m.Mode
		for _, mac := range m.Match.MAC {
			if mac = strings.ToLower(mac); !slices.Contains(n.Clients, mac) {
				n.Clients = append(n.Clients, mac)
			}
		}
	})
}

// pageActions are what the page's buttons do.
func (e *Env) pageActions(f func() *fleet.Fleet, folder *netboot.Folder, dir string) web.Actions {
	approver := func() *approve.Approver {
		return &approve.Approver{Fleet: f(), Folder: folder, Dir: dir, Load: machine.Options{Set: e.opt.set}}
	}
	return web.Actions{
		Suggest: func(ctx context.Context, id string) (*fleet.Suggestion, error) { return approver().Suggest(ctx, id) },
		Approve: func(ctx context.Context, id, name string) error { return approver().Save(ctx, id, name) },
		Reinstall: func(ctx context.Context, name string) error {
			m := folder.Roster().Named(name)
			if m == nil || m.Mode != "install" {
				return fmt.Errorf("%s is no machine that is installed (netboot: {mode: install})", name)
			}
			_, err := f().Give(ctx, name, "install", "the page", 24*time.Hour)
			return err
		},
		Definition: func(_ context.Context, name string) (string, error) {
			m := folder.Roster().Named(name)
			if m == nil {
				return "", fmt.Errorf("no definition matches %s", name)
			}
			text, err := os.ReadFile(m.File)
			return string(text), err
		},
	}
}

var serveOutput sync.Mutex

// event prints what happened.
func (e *Env) event(ev fleet.Event) {
	serveOutput.Lock()
	defer serveOutput.Unlock()
	if e.opt.json {
		if data, err := json.Marshal(ev); err == nil {
			fmt.Fprintf(e.Stdout, "%s\n", data)
		}
		return
	}
	fmt.Fprintln(e.Stdout, netboot.Line(ev))
}

// say prints what the server itself has to say.
func (e *Env) say(text string) {
	serveOutput.Lock()
	defer serveOutput.Unlock()
	fmt.Fprintln(e.Stderr, text)
}
