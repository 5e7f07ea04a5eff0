package target

import (
	"errors"
	"fmt"
	"strings"

	"slipway/internal/machine"
	"slipway/internal/target/supervisor"
)

// StartStep says what `up` would do with a machine once its tree is there.
func StartStep(runtime string, d *machine.Definition, key string) string {
	m, err := supervisor.Find(runtime, d.Name)
	var missing *supervisor.NotFoundError
	switch {
	case errors.As(err, &missing):
		return fmt.Sprintf("start %s as a container and prove %d probes", d.Name, len(d.Probes))
	case err != nil:
		return fmt.Sprintf("start %s as a container (its present state is not known: %v)", d.Name, err)
	case !m.Running():
		return fmt.Sprintf("start %s again: it %s", d.Name, m.State)
	}
	if changes := m.Changes(d, m.Target, key); len(changes) > 0 {
		return fmt.Sprintf("restart %s: %s", d.Name, strings.Join(changes, "; "))
	}
	return fmt.Sprintf("leave %s running: nothing changed", d.Name)
}
