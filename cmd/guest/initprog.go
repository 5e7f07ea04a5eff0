package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The kinds of init that differ in how they are asked to end.
const (
	styleSystemd = "systemd"
	styleBusybox = "busybox"
	styleOpenRC  = "openrc"
	styleSysV    = "sysv"
	styleOther   = "other"
)

var initPaths = []string{"/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/bin/init", "/init"}

// findInit says what to execute as process 1.
func findInit(wanted []string) ([]string, error) {
	if len(wanted) > 0 {
		if err := unix.Access(wanted[0], unix.X_OK); err != nil {
			return nil, fmt.Errorf("starting init %s: %w", wanted[0], err)
		}
		return wanted, nil
	}
	for _, path := range initPaths {
		if unix.Access(path, unix.X_OK) == nil {
			return []string{path}, nil
		}
	}
	return nil, errors.New("the machine has no init program (looked for " + strings.Join(initPaths, ", ") +
		"): its tree was built with `init: none`, or name a program with `init: /path`")
}

// initStyle tells by the program behind a path what kind of init it is.
func initStyle(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return styleOther
	}
	switch base := filepath.Base(real); {
	case base == "systemd":
		return styleSystemd
	case strings.HasPrefix(base, "busybox"):
		return styleBusybox
	case base == "openrc-init":
		return styleOpenRC
	case real == "/sbin/init" || real == "/usr/sbin/init":
		if _, err := os.Stat("/etc/inittab"); err == nil {
			return styleSysV
		}
	}
	return styleOther
}

// glibc's and musl's first real-time signal, to which systemd counts.
const sigRTMin = 34

// askInit asks process 1 to end the machine.
func askInit(style string, reboot bool) error {
	pick := func(off, again unix.Signal) error {
		if reboot {
			return unix.Kill(1, again)
		}
		return unix.Kill(1, off)
	}
	run := func(off, again []string) error {
		if reboot {
			off = again
		}
		return runQuietly(off)
	}
	switch style {
	case styleSystemd:
		return pick(sigRTMin+4, sigRTMin+5)
	case styleBusybox:
		return pick(unix.SIGUSR2, unix.SIGTERM)
	case styleOpenRC:
		return run([]string{"openrc-shutdown", "-p", "now"}, []string{"openrc-shutdown", "-r", "now"})
	case styleSysV:
		return run([]string{"shutdown", "-h", "-P", "now"}, []string{"shutdown", "-r", "now"})
	}
	return unix.Kill(1, unix.SIGTERM)
}
