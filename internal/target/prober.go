package target

import (
	"context"
	"fmt"
	"strings"

	"slipway/internal/build"
	"slipway/internal/probe"
	"slipway/internal/target/supervisor"
)

// prober adds to a machine's reach what only the builder knows.
type prober struct {
	*supervisor.Reach
	builder *build.Builder
	result  *build.Result
}

var _ probe.Pender = (*prober)(nil)

// Pending lists installed packages that have a newer version as of the lock's date.
func (p *prober) Pending(ctx context.Context) ([]string, error) {
	got, err := p.Exec(ctx, probe.ExecRequest{Args: []string{"dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Architecture} ${Version}\n"}})
	if err != nil {
		return nil, err
	}
	if got.Exit != 0 {
		return nil, fmt.Errorf("listing installed packages: exit status %d: %s", got.Exit, got.Stderr)
	}
	installed := map[string]string{}
	for _, line := range strings.Split(string(got.Stdout), "\n") {
		if f := strings.Fields(line); len(f) == 4 && f[0] == "ii" {
			installed[f[1]+":"+f[2]] = f[3]
		}
	}
	return p.builder.Pending(ctx, p.result.Prepared, installed)
}
