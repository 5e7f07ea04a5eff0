package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"slipway/internal/sandbox"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A normal user's way out is pasta (the passt package): it stands in the host's
// network and carries what the lab sends through a tap interface as ordinary
// connections of the user. It is no daemon of ours: the last member ends it.

// resolverAddress is where pasta listens for name queries inside the lab. It is
// from the documentation range, so that it hides no real host.
const resolverAddress = "192.0.2.53"

// uplinkEntry sets the lab's side of pasta up, from inside.
const uplinkEntry = "lab:uplink"

const uplinkWait = 5 * time.Second

func init() { sandbox.RegisterEntry(uplinkEntry, uplinkMain) }

// openByPasta starts pasta and waits for its interface.
func (l *Lab) openByPasta(ctx context.Context) error {
	program, err := exec.LookPath("pasta")
	if err != nil {
		return &sandbox.Problem{
			Text: "opening the lab's way out: pasta is not installed, and a normal user's lab has no other",
			Fix:  "install the passt package (apt-get install passt), remove `outside: true`, or run slipway as root",
		}
	}
	state, err := l.planOutside()
	if err != nil {
		return err
	}
	helper, err := l.startUplink(ctx)
	if err != nil {
		return fmt.Errorf("opening the lab's way out: %w", err)
	}
	pasta, err := startPasta(program, helper.proc.Pid, state.Link)
	if err != nil {
		helper.proc.Kill()
		helper.wait()
		return fmt.Errorf("opening the lab's way out: starting pasta: %w", err)
	}
	start, _ := startTime(pasta.cmd.Process.Pid)
	err = writeJSON(l.outsidePath(), outsideState{Link: state.Link, PID: pasta.cmd.Process.Pid, Start: start})
	if err == nil {
		err = helper.wait()
	}
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("opening the lab's way out: %w%s", err, pasta.kill()), os.Remove(l.outsidePath()))
}

// pastaProcess is a running pasta and the file with its words. It outlives this
// process, so a pipe would not do.
type pastaProcess struct {
	cmd   *exec.Cmd
	words *os.File
	ended chan error
}

// startPasta starts pasta for the namespaces of pid. It is a process of the
// lab's, because pasta opens the network namespace as root of the lab's user
// namespace, from where the host's processes are out of reach.
func startPasta(program string, pid int, link netip.Prefix) (*pastaProcess, error) {
	words, err := unix.MemfdCreate("pasta", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	p := &pastaProcess{words: os.NewFile(uintptr(words), "pasta"), ended: make(chan error, 1)}
	ns := "/proc/" + strconv.Itoa(pid) + "/ns/"
	p.cmd = exec.Command(program, "--foreground", "--quiet", "--ipv4-only", "--config-net",
		"--ns-ifname", uplink, "--address", link.Addr().Next().String(), "--netmask", strconv.Itoa(link.Bits()),
		"--gateway", link.Addr().String(), "--no-map-gw", "--dns-forward", resolverAddress,
		"--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none",
		"--no-netns-quit", "--userns", ns+"user", "--netns", ns+"net")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.cmd.Stdout, p.cmd.Stderr = p.words, p.words
	if err := p.cmd.Start(); err != nil {
		p.words.Close()
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }() // reaps it should it end before us
	return p, nil
}

// kill ends pasta and gives its last words for an error message.
func (p *pastaProcess) kill() string {
	p.cmd.Process.Kill()
	<-p.ended
	defer p.words.Close()
	text := make([]byte, 4096)
	n, _ := p.words.ReadAt(text, 0)
	if s := strings.TrimSpace(string(text[:n])); s != "" {
		return " (pasta: " + s + ")"
	}
	return ""
}

// uplinkProcess is uplinkEntry running in the lab.
type uplinkProcess struct {
	proc *os.Process
	out  *os.File
	stop func() bool
}

func (l *Lab) startUplink(ctx context.Context) (*uplinkProcess, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	c := l.Command(uplinkEntry, l.Subnets.IPv4.String())
	c.Files = []*os.File{w, w, w}
	p, err := c.Start()
	if err != nil {
		r.Close()
		return nil, err
	}
	return &uplinkProcess{p, r, context.AfterFunc(ctx, func() { p.Kill() })}, nil
}

// wait gives the helper's words as error when it failed.
func (u *uplinkProcess) wait() error {
	defer u.out.Close()
	text, _ := io.ReadAll(u.out)
	u.stop()
	state, err := u.proc.Wait()
	if err == nil && !state.Success() {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return err
}

func uplinkMain() int {
	if err := setUplink(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// setUplink waits for pasta's interface and lets the gate's machines through it.
func setUplink() error {
	lab, err := netip.ParsePrefix(os.Args[1])
	if err != nil {
		return err
	}
	ns, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := waitUplink(); err != nil {
		return err
	}
	if err := makeGate(ns); err != nil {
		return fmt.Errorf("closing the lab to machines without a way out: %w", err)
	}
	if err := translate("slipway-out", Bridge, lab); err != nil {
		return fmt.Errorf("translating addresses: %w", err)
	}
	return os.WriteFile(forwardFile, []byte("1\n"), 0o644)
}

// waitUplink waits until the interface is up and has the default route.
func waitUplink() error {
	for end := time.Now().Add(uplinkWait); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		link, err := netlink.LinkByName(uplink)
		if err != nil {
			continue
		}
		routes, err := netlink.RouteList(link, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if r.Gw != nil {
				return nil
			}
		}
	}
	return fmt.Errorf("pasta made no working interface %s within %s", uplink, uplinkWait)
}

// endPasta ends the pasta of a lab without members.
func endPasta(s outsideState) error {
	if start, err := startTime(s.PID); err != nil || start != s.Start {
		return nil // gone already
	}
	p, err := os.FindProcess(s.PID)
	if err != nil {
		return nil
	}
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending pasta: %w", err)
	}
	return nil
}
