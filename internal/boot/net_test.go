package boot

import (
	"slices"
	"testing"

	"slipway/internal/bootfiles"
	"slipway/internal/machine"
)

// TestKeptState finds the folders that a machine in RAM keeps where they are in
// its tree, or would be.
func TestKeptState(t *testing.T) {
	d := &machine.Definition{State: []string{"/var/lib/data/", "/lib/modules", "/lib/none/deep", "/none"}, Netboot: &machine.Netboot{Initrd: "small"}}
	r := request(t, debian, d, Net)
	a := &assembly{Request: r, fs: NewFS(r.Manifest, r.Content)}
	want := []bootfiles.KeptFolder{{Path: "/var/lib/data", At: "/var/lib/data"}, {Path: "/lib/modules", At: "/usr/lib/modules"},
		{Path: "/lib/none/deep", At: "/usr/lib/none/deep"}, {Path: "/none", At: "/none"}}
	if got := a.keptState(); got == nil || got.Device != "" || !slices.Equal(got.Folders, want) {
		t.Errorf("kept are %+v, want %+v", got, want)
	}
	for _, n := range []*machine.Netboot{nil, {Mode: "install"}} {
		d.Netboot = n
		if got := a.keptState(); got != nil {
			t.Errorf("with netboot %+v kept are %+v", n, got)
		}
	}
}
