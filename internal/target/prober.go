package target

import (
	"context"
	"fmt"

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
	family, err := p.builder.Family(p.result.Prepared.Definition)
	if err != nil {
		return nil, err
	}
	got, err := p.Exec(ctx, probe.ExecRequest{Args: family.Query()})
	if err != nil {
		return nil, err
	}
	if got.Exit != 0 {
		return nil, fmt.Errorf("listing installed packages: exit status %d: %s", got.Exit, got.Stderr)
	}
	list, err := family.Answer(got.Stdout)
	if err != nil {
		return nil, fmt.Errorf("listing installed packages: %w", err)
	}
	installed := map[string]string{}
	for _, p := range list {
		installed[p.Name+":"+p.Arch] = p.Version
	}
	return p.builder.Pending(ctx, p.result.Prepared, installed)
}
