package netplay

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inside marks the process that is in the network namespace of its own; serving
// is the world that a child process of it serves.
const (
	inside  = "SLIPWAY_NETPLAY"
	serving = "SLIPWAY_NETPLAY_SERVE"
)

// The first thread stays in the server's namespace: it is what /proc/self shows.
func init() { runtime.LockOSThread() }

// TestMain runs the tests in a network namespace, and without root in a user
// namespace too: ports and interfaces are theirs alone.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(serving) != "":
		serveChild(os.Getenv(serving))
		return
	case os.Getenv(inside) != "":
		if lo, err := netlink.LinkByName("lo"); err == nil {
			netlink.LinkSetUp(lo)
		}
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") // what is mounted stays here
		flag.Parse()
		flag.Set("test.parallel", "16") // they wait, and compute little
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	signal.Ignore(os.Interrupt) // the child ends by it, and we with the child
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		os.Exit(max(ended.ExitCode(), 1))
	case err != nil: // this host allows no namespaces: each test says so
		os.Setenv(inside, "no: "+err.Error())
		fmt.Fprintln(os.Stderr, "no network namespace:", err)
		os.Exit(m.Run())
	}
}
