// Package run has the end-to-end tests of running machines.
package run

import (
	"testing"

	"slipway/internal/e2e/kit"
)

func TestMain(m *testing.M) { kit.Main(m) }
