package target

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/machine"
	"slipway/internal/target/supervisor"
)

func TestStateElsewhere(t *testing.T) {
	for _, c := range []struct {
		target string
		kept   []string
		want   string // part of what is said
	}{
		{"container", nil, ""},
		{"container", []string{"var"}, ""},
		{"container", []string{".disk.raw", ".disk.json"}, "as a virtual machine"},
		{"container", []string{".disk.raw", "var"}, ""},
		{"vm", []string{"var"}, "as a container"},
		{"uefi", []string{"var", ".disk.json"}, "as a container"},
		{"bios", []string{"var", ".disk.raw"}, ""},
		{"vm", []string{".disk.raw"}, ""},
		{"vm", []string{".new"}, ""},
		{"ram", nil, "in memory alone"},
		{"netboot", nil, "in memory alone"},
	} {
		dir := t.TempDir()
		for _, name := range c.kept {
			if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		spec := &supervisor.Spec{Name: "web", Target: c.target, StateDir: dir, Definition: &machine.Definition{State: []string{"/var/lib/data"}}}
		said := stateElsewhere(spec)
		if (said == "") != (c.want == "") || !strings.Contains(said, c.want) {
			t.Errorf("%s with %v kept: %q, want %q", c.target, c.kept, said, c.want)
		}
		if said != "" && c.kept != nil && !strings.Contains(said, dir) {
			t.Errorf("it does not say where the state is: %q", said)
		}
		spec.Definition.State = nil
		if said := stateElsewhere(spec); said != "" {
			t.Errorf("without state: %q", said)
		}
	}
}
