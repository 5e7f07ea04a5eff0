package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// contained are the attributes of a program that is measured: no life beyond
// ours, and for the peers a mount namespace of their own, so that what they
// mount (mmdebstrap binds the host's /dev into its tree) is never seen from
// here. slipway has such a namespace by itself.
func contained(program string) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if program == "mmdebstrap" {
		attr.Unshareflags = syscall.CLONE_NEWNS // Go makes its mounts private
	}
	return attr
}

// remove deletes a folder that a run has made, never anything that is mounted
// in it: os.RemoveAll would go on into the host's own folders.
func remove(dir string) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && (fields[4] == dir || strings.HasPrefix(fields[4], dir+"/")) {
			return fmt.Errorf("removing %s: %s is mounted there; unmount it and remove the folder by hand", dir, fields[4])
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
