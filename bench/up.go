package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The state that both must reach: ssh answers, init has finished, and no unit
// failed.
var upProbes = []string{
	`{name: ssh, tcp: {port: 22, expect: "SSH-2.0-"}}`,
	`{name: units, no_failed_units: true}`,
}

// upLimit bounds one start.
const upLimit = 2 * time.Minute

// up starts a built machine with slipway and the same tree with nspawn, each
// time from the state as built.
func (b *bench) up(d disk) error {
	store, err := b.built(d)
	if err != nil {
		return err
	}
	file, err := b.write(definition{name: "bench-boot", packages: bootSet, probes: upProbes})
	if err != nil {
		return err
	}
	tree := d.folder("nspawn") + "/"
	if _, _, err := b.timed(b.slipway, "build", "--quiet", "--for", "container", "--store", store, "-o", tree, file); err != nil {
		return err
	}
	for range b.runs {
		s, _, err := b.timed(b.slipway, "up", "--quiet", "--store", store, file)
		if err != nil {
			return err
		}
		b.note(d, "up slipway", s)
		if _, _, err := b.timed(b.slipway, "down", "--quiet", "--store", store, "bench-boot"); err != nil {
			return err
		}
		// A built tree holds no host keys: slipway has the machine make them
		// at its first start, and so must the peer.
		keys, _, err := b.timed("chroot", tree, "ssh-keygen", "-q", "-A")
		if err != nil {
			return err
		}
		if s, err = nspawn(tree); err != nil {
			return err
		}
		b.note(d, "up nspawn without keys", s)
		s.wall += keys.wall
		b.note(d, "up nspawn", s)
		made, _ := filepath.Glob(filepath.Join(tree, "etc/ssh/ssh_host_*"))
		for _, key := range made {
			if err := os.Remove(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// nspawn boots a tree under a throw-away overlay and measures until the probes hold.
func nspawn(tree string) (s sample, err error) {
	netns := fmt.Sprintf("slipway-bench-%d", os.Getpid())
	if _, err := command("ip", "netns", "add", netns); err != nil {
		return s, err
	}
	defer command("ip", "netns", "delete", netns)
	if _, err := command("ip", "-n", netns, "link", "set", "lo", "up"); err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), upLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--volatile=overlay",
		"--network-namespace-path=/run/netns/"+netns, "-D", tree, "-b")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return s, err
	}
	err = inNetns(netns, func() error { return until(ctx, banner) })
	if err == nil {
		err = until(ctx, func() error { return running(cmd.Process.Pid) })
	}
	s.wall = time.Since(begin)
	cancel()
	cmd.Wait()
	if err != nil {
		return s, fmt.Errorf("waiting for the machine under systemd-nspawn: %w", err)
	}
	return s, nil
}

// until tries every 20 ms.
func until(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// banner wants the first words of an ssh server.
func banner() error {
	c, err := net.DialTimeout("tcp", "127.0.0.1:22", time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 8)
	if _, err := c.Read(buf); err != nil {
		return err
	}
	if !strings.HasPrefix(string(buf), "SSH-2.0-") {
		return fmt.Errorf("the server says %q", buf)
	}
	return nil
}

// running wants init to have finished without a failed unit.
func running(pid int) error {
	leader, err := leaderOf(pid)
	if err != nil {
		return err
	}
	out, err := exec.Command("nsenter", "-t", strconv.Itoa(leader), "-m", "-u", "-i", "-n", "-p", "-C", "systemctl", "is-system-running").CombinedOutput()
	switch state := strings.TrimSpace(string(out)); state {
	case "running", "degraded":
		return nil // a unit that fails under nspawn is not held against it
	default:
		return fmt.Errorf("the system is %s (%v)", state, err)
	}
}

// leaderOf finds the machine's process 1 below nspawn.
func leaderOf(pid int) (int, error) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range tasks {
		data, _ := os.ReadFile(t)
		for _, f := range strings.Fields(string(data)) {
			child, _ := strconv.Atoi(f)
			if isInit(child) {
				return child, nil
			}
			if deeper, err := leaderOf(child); err == nil {
				return deeper, nil
			}
		}
	}
	return 0, errors.New("process 1 is not there yet")
}

func isInit(pid int) bool {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for _, line := range strings.Split(string(data), "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "NSpid:" {
			return f[len(f)-1] == "1"
		}
	}
	return false
}

// inNetns calls do on a thread that is in a network namespace. The thread is
// not used again.
func inNetns(name string, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		f, err := os.Open("/run/netns/" + name)
		if err == nil {
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
			f.Close()
		}
		if err != nil {
			done <- err
			return
		}
		done <- do()
	}()
	return <-done
}
