package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// leaf is where slipway's own processes live in a delegated scope: cgroup2
// gives controllers only to folders whose parent has no processes.
const leaf = "supervisor"

// Ready tells, before a machine is built, whether this host lets its user
// start one. As a normal user it may ask the user manager for a scope.
func (Driver) Ready(ctx context.Context, name string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	if err := delegate(ctx, name); err != nil {
		return fmt.Errorf("starting machine %s: %w", name, err)
	}
	return nil
}

// delegate makes sure that this process, and so the supervisor that it starts,
// is in a cgroup below which machines may have theirs. A normal user without
// one asks the user manager of systemd for a scope.
func delegate(ctx context.Context, name string) error {
	h, err := detectCgroups()
	if err != nil {
		return err
	}
	if _, err = h.base(); err == nil || os.Geteuid() == 0 {
		return err
	}
	busctl, lookErr := exec.LookPath("busctl")
	bus := userBus()
	if lookErr != nil || bus == "" {
		return err
	}
	scope := fmt.Sprintf("slipway-%s-%d.scope", name, os.Getpid())
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, busctl, scopeCall(scope, os.Getpid())...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+bus)
	out, callErr := cmd.CombinedOutput()
	if callErr != nil {
		return errors.Join(err, fmt.Errorf("asking the user manager for a scope: %w: %s", callErr, strings.TrimSpace(string(out))))
	}
	return enterScope(ctx, scope)
}

// userBus is the folder of the user manager's sockets: the session's own, or,
// after su and the like, the usual one (user@.service(5)).
func userBus() string {
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run/user/" + strconv.Itoa(os.Getuid())} {
		if dir != "" && socketThere(filepath.Join(dir, "bus")) {
			return dir
		}
	}
	return ""
}

// scopeCall is the call of org.freedesktop.systemd1(5), StartTransientUnit.
func scopeCall(scope string, pid int) []string {
	return []string{
		"--user", "--quiet", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
		"org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))", scope, "fail",
		"2", "PIDs", "au", "1", strconv.Itoa(pid), "Delegate", "b", "true", "0",
	}
}

// enterScope waits until this process is in its scope, and moves to the leaf.
func enterScope(ctx context.Context, scope string) error {
	for {
		h, err := detectCgroups()
		if err != nil {
			return err
		}
		if filepath.Base(h.own) == scope {
			dir := filepath.Join(h.unified, h.own, leaf)
			if err := os.Mkdir(dir, 0o755); err != nil {
				return fmt.Errorf("preparing the scope %s: %w", scope, err)
			}
			if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
				return fmt.Errorf("preparing the scope %s: %w", scope, err)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the scope %s: %w", scope, context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func socketThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
