package answer

import (
	"slipway/internal/machine"
)

// alpineMain is the address of Alpine's main repository.
func alpineMain(d *machine.Definition, f Facts) string {
	return ""
}
