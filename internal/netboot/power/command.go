package power

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// On runs the command and waits for its end. What it says is in the error.
func (c *Command) On(ctx context.Context, machine string, mac net.HardwareAddr) error {
	if len(c.Args) == 0 {
		return fmt.Errorf("turning on %s: the command is empty", machine)
	}
	limit := c.Limit
	if limit == 0 {
		limit = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(), "SLIPWAY_MACHINE="+machine, "SLIPWAY_MAC="+mac.String(), "SLIPWAY_ACTION=on")
	// The whole group ends with it: a script's children too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("it did not end within %s", limit)
	}
	if err != nil {
		return fmt.Errorf("turning on %s by %s: %w%s", machine, strings.Join(c.Args, " "), err, said)
	}
	return nil
}

// tail keeps the last of what a program says.
type tail struct{ b []byte }

const maxTail = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - maxTail; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	if s := strings.TrimSpace(string(t.b)); s != "" {
		return ": " + s
	}
	return ""
}
