package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"slipway/internal/sandbox"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// A test member is a process in the lab that obeys lines on stdin and answers
// with one line each.

func init() { sandbox.RegisterEntry("lab:test", testMember) }

type member struct {
	lab   *Lab
	ns    map[string]*os.File
	links map[string]*Link
}

func testMember() int {
	ctx := context.Background()
	l, err := Inside(ctx)
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	defer l.Leave()
	m := &member{lab: l, ns: map[string]*os.File{}, links: map[string]*Link{}}
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		f := strings.Fields(in.Text())
		answer, err := m.do(ctx, f[0], f[1:])
		if err != nil {
			answer = "error: " + err.Error()
		}
		fmt.Println(strings.ReplaceAll(answer, "\n", " "))
	}
	return 0
}

func (m *member) do(ctx context.Context, verb string, args []string) (string, error) {
	switch verb {
	case "serve":
		go m.lab.Serve(ctx)
		return "ok", nil
	case "attach": // NAME [outside|dhcp]
		ns, err := newNetNS()
		if err != nil {
			return "", err
		}
		mach := Machine{Name: args[0]}
		if len(args) > 1 {
			mach.Outside = args[1] == "outside"
			mach.DHCP = args[1] == "dhcp"
		}
		k, err := m.lab.Attach(ctx, ns, mach)
		if err != nil {
			return "", err
		}
		m.ns[mach.Name], m.links[mach.Name] = ns, k
		return fmt.Sprint(k.IPv4, " ", k.IPv6, " ", k.MAC), nil
	case "detach":
		return "ok", m.links[args[0]].Close()
	case "listen": // NAME ADDRESS: echo upper case, one connection after the other
		return "ok", m.in(args[0], func() error {
			l, err := net.Listen("tcp", args[1])
			if err == nil {
				go echo(l)
			}
			return err
		})
	case "dial": // NAME ADDRESS
		var got string
		err := m.in(args[0], func() (err error) { got, err = ask(args[1]); return err })
		return got, err
	case "greet": // NAME ADDRESS: wait for the other side's line
		var got string
		err := m.in(args[0], func() (err error) { got, err = greeting(args[1]); return err })
		return got, err
	case "lookup": // FROM NAME
		var got []string
		err := m.in(args[0], func() (err error) { got, err = m.lookup(args[1]); return err })
		return strings.Join(got, " "), err
	case "reverse":
		var got []string
		err := m.in(args[0], func() (err error) {
			got, err = m.resolver().LookupAddr(ctx, args[1])
			return err
		})
		return strings.Join(got, " "), err
	case "lease":
		var got string
		err := m.in(args[0], func() (err error) { got, err = lease(ctx); return err })
		return got, err
	case "resolv":
		resolvConf = args[0]
		return "ok", nil
	case "machines":
		data, err := json.Marshal(m.lab.Machines())
		return string(data), err
	}
	return "", errors.New("unknown verb")
}

// in runs f in a machine's network, or in the lab's own for "lab".
func (m *member) in(name string, f func() error) error {
	if name == "lab" {
		return f()
	}
	return inNetNS(m.ns[name], f)
}

// resolver asks the lab's name server from the calling thread's network: the
// pure Go resolver dials on this goroutine only for one server and family.
func (m *member) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, net.JoinHostPort(m.lab.Subnets.Gateway4().String(), "53"))
	}}
}

func (m *member) lookup(name string) ([]string, error) {
	c, err := net.Dial("udp", net.JoinHostPort(m.lab.Subnets.Gateway4().String(), "53"))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return queryA(c, name)
}

func lease(ctx context.Context) (string, error) {
	link, err := netlink.LinkByName(Interface)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		return "", err
	}
	c, err := nclient4.New(Interface, nclient4.WithTimeout(time.Second))
	if err != nil {
		return "", err
	}
	defer c.Close()
	l, err := c.Request(ctx, dhcpv4.WithOption(dhcpv4.OptHostName("x")))
	if err != nil {
		return "", err
	}
	a := l.ACK
	return fmt.Sprint(a.YourIPAddr, " ", a.DNS(), " ", a.Router(), " ", a.HostName(), " ", a.SubnetMask()), nil
}

// newNetNS makes an empty network namespace, as a machine has.
func newNetNS() (ns *os.File, err error) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(done)
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			ns, err = os.Open("/proc/thread-self/ns/net")
		}
	}()
	<-done
	return ns, err
}

func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			data, _ := io.ReadAll(c)
			from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			fmt.Fprintf(c, "%s from %s", strings.ToUpper(string(data)), from)
		}()
	}
}

// ask sends "hello", closes its half and reads the answer.
func ask(address string) (string, error) {
	c, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Second))
	io.WriteString(c, "hello")
	c.(*net.TCPConn).CloseWrite()
	data, err := io.ReadAll(c)
	return string(data), err
}

func greeting(address string) (string, error) {
	c, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Second))
	s, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(s), err
}

// remote is a test's handle on a member process.
type remote struct {
	t    *testing.T
	proc *os.Process
	in   *os.File
	out  *bufio.Reader
}

func startMember(t *testing.T, l *Lab) *remote {
	t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := l.Command("lab:test")
	c.Files = []*os.File{inR, outW, os.Stderr}
	p, err := c.Start()
	inR.Close()
	outW.Close()
	if err != nil {
		t.Fatal(err)
	}
	r := &remote{t, p, inW, bufio.NewReader(outR)}
	t.Cleanup(func() { inW.Close(); p.Kill(); p.Wait(); outR.Close() })
	if line, _ := r.out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("member said %q", line)
	}
	return r
}

// try sends a line and gives the answer.
func (r *remote) try(format string, args ...any) string {
	r.t.Helper()
	fmt.Fprintf(r.in, format+"\n", args...)
	line, err := r.out.ReadString('\n')
	if err != nil {
		r.t.Fatalf("member is gone after %s: %v", fmt.Sprintf(format, args...), err)
	}
	return strings.TrimSpace(line)
}

// must is try without errors.
func (r *remote) must(format string, args ...any) string {
	r.t.Helper()
	got := r.try(format, args...)
	if strings.HasPrefix(got, "error: ") {
		r.t.Fatalf("%s: %s", fmt.Sprintf(format, args...), got)
	}
	return got
}

// quit ends the member in an orderly way.
func (r *remote) quit() {
	r.in.Close()
	r.proc.Wait()
}

func testHost(t *testing.T) *sandbox.Host {
	t.Helper()
	h, err := sandbox.Detect()
	if err != nil {
		t.Skipf("this host cannot start workers: %v", err)
	}
	return h
}
