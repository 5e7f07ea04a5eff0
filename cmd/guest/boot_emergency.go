package main

import (
	"os"
	"syscall"
	"time"

	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// emergency is the end of a boot that failed: the reason on the console and to
// the host, and then power off when somebody asked for it or the host was told;
// otherwise a shell, if there is one.
func (b *booter) emergency(err error) {
	say("the machine cannot start: %v", err)
	b.emit(wire.Event{Kind: "error", Text: err.Error()})
	how, _ := b.line.Get("slipway.emergency")
	if how == "poweroff" || b.port != nil && how == "" {
		unix.Sync()
		time.Sleep(500 * time.Millisecond) // for what the host still reads
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
	for {
		if !emergencyShell() {
			say("there is no shell here; switch the machine off, or restart it")
			for {
				time.Sleep(time.Hour)
			}
		}
	}
}

// emergencyShell runs a shell on the console: the busybox of the initramfs, or
// the shell of the root as far as it is mounted.
func emergencyShell() bool {
	for _, c := range []struct{ root, shell string }{{"", "/bin/sh"}, {newRoot, "/bin/sh"}} {
		if unix.Access(c.root+c.shell, unix.X_OK) != nil {
			continue
		}
		say("this is an emergency shell (%s); the machine's root belongs on %s; `reboot -f` restarts", c.root+c.shell, newRoot)
		attr := &os.ProcAttr{
			Dir: "/", Env: []string{"PATH=" + defaultPath, "TERM=linux", "HOME=/root"},
			Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
			Sys:   &syscall.SysProcAttr{Chroot: c.root, Setsid: true, Setctty: true, Ctty: 0},
		}
		p, err := os.StartProcess(c.shell, []string{"sh"}, attr)
		if err != nil { // some consoles control no terminal
			attr.Sys.Setctty = false
			p, err = os.StartProcess(c.shell, []string{"sh"}, attr)
		}
		if err != nil {
			say("starting the shell: %v", err)
			continue
		}
		p.Wait()
		return true
	}
	return false
}
