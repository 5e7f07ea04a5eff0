// Command guest is the guest helper: the one small program of slipway that
// runs inside a machine. It is embedded in slipway (package internal/guest)
// and speaks the protocol of package wire.
//
// As the first process of a container it is started with its end of a control
// stream as descriptor 3, reads a Config from it, finishes the machine's
// mounts, leaves an agent behind and becomes the machine's init by exec:
//
//	slipway-guest container
//
// As the agent it serves commands, files and terminals until the stream ends,
// and then shuts the machine down:
//
//	@slipway-guest agent ...
//
// As /init of an initramfs it brings a virtual machine or a computer up to its
// own init; the kernel calls it as modprobe there. In an installed machine the
// package manager runs it when a kernel comes or goes:
//
//	guest kernel-hook [VERSION | remove VERSION | loader]
//
// The leading @ tells systemd to spare the process in its final killing, so
// that the console is seen to its end. The program imports only the standard
// library, x/sys and rooms of ours that need no more.
package main

import (
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Descriptors that are inherited.
const (
	controlFD = 3
	consoleFD = 4 // agent only: the console's master side
	notifyFD  = 5 // agent only: the socket behind NOTIFY_SOCKET
)

func init() {
	// Namespaces belong to threads: everything before exec stays on this one.
	runtime.LockOSThread()
}

func main() {
	unix.Umask(0o022)
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	switch {
	case inInitramfs():
		boot()
	case filepath.Base(os.Args[0]) == "modprobe":
		modprobe(os.Args[1:])
	}
	switch mode {
	case "container":
		container()
	case "agent":
		agent(os.Args[2:])
	case "kernel-hook":
		kernelHook(os.Args[2:])
	default:
		os.Stderr.WriteString("slipway-guest runs inside a machine and is started by slipway\n")
		os.Exit(2)
	}
}
