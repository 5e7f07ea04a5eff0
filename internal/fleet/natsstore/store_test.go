package natsstore

import (
	"testing"

	"slipway/internal/fleet"
	"slipway/internal/fleet/fleettest"
)

func TestConforms(t *testing.T) {
	fleettest.Run(t, func(t testing.TB, limits fleet.Limits) fleet.Store {
		s, err := Open(t.TempDir(), limits)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
