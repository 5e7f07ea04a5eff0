package fleet_test

import (
	"testing"

	"slipway/internal/fleet"
	"slipway/internal/fleet/fleettest"
)

func TestMemoryConforms(t *testing.T) {
	fleettest.Run(t, func(t testing.TB, limits fleet.Limits) fleet.Store { return fleet.NewMemory(limits) })
}
