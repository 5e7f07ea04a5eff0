package lab

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"

	"slipway/internal/sandbox"
)

// Checks tries whether this host can make a lab, in a lab of its own that is
// gone afterwards, and says how machines could get out of it.
func Checks(ctx context.Context, host *sandbox.Host) []sandbox.Check {
	check := sandbox.Check{Name: "lab network", OK: true, Detail: "a private network with a bridge can be made"}
	if err := try(ctx, host); err != nil {
		check = sandbox.Check{Name: check.Name, Detail: err.Error()}
		var problem *sandbox.Problem
		if errors.As(err, &problem) {
			check.Fix = problem.Fix
		}
	}
	return []sandbox.Check{check, checkOutside(host)}
}

func try(ctx context.Context, host *sandbox.Host) error {
	dir, err := RuntimeDir()
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(dir, "check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	l, err := JoinAt(ctx, host, filepath.Join(tmp, "lab"))
	if err != nil {
		return err
	}
	return l.Leave()
}

func checkOutside(host *sandbox.Host) sandbox.Check {
	check := sandbox.Check{Name: "way out", OK: true, Detail: "address translation as root, for machines with outside: true"}
	if host.Root {
		return check
	}
	path, err := exec.LookPath("pasta")
	if err != nil {
		return sandbox.Check{Name: check.Name, Detail: "pasta is not installed: outside: true is refused", Fix: "install the passt package: apt-get install passt"}
	}
	check.Detail = path + ", for machines with outside: true"
	return check
}
