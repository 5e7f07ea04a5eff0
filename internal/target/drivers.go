package target

import (
	"slipway/internal/target/container"
	"slipway/internal/target/supervisor"
	"slipway/internal/target/vm"
)

// The table of targets. The supervisor is another run of this program, so it
// is filled before main.
func init() {
	supervisor.Register(container.Driver{}, "container")
	supervisor.Register(vm.Driver{}, "vm", "uefi", "bios", "uboot", "ram")
}
