package container

import (
	"errors"
	"fmt"
	"os"

	"slipway/internal/machine"
	"slipway/internal/target/supervisor"
)

// Driver starts containers; it is registered for the target "container".
type Driver struct{}

var _ supervisor.Driver = Driver{}

// Check wants the layers of a built tree.
func (Driver) Check(spec *supervisor.Spec) error {
	if len(spec.LayerDirs) == 0 {
		return errors.New("a container needs the layers of a built tree")
	}
	for _, dir := range spec.LayerDirs {
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			return fmt.Errorf("the layer %s is not there: build it again", dir)
		}
	}
	return nil
}

// Parts are the definition's keys for containers alone.
func (Driver) Parts(d *machine.Definition) []supervisor.Part {
	return []supervisor.Part{
		{Name: "container.binds", Value: d.Container.Binds},
		{Name: "container.devices", Value: d.Container.Devices},
		{Name: "container.limits", Value: d.Container.Limits},
	}
}

// Sweep removes cgroups and ends what runs in them.
func (Driver) Sweep(traces []string, caller int) error { return removeCgroups(traces, caller) }
