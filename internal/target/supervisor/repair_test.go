package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A supervisor that was killed cannot take back what the lab's way out changed
// on the host; whoever clears the machine away does.
func TestDownRepairsTheWayOut(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root's lab changes the host's network")
	}
	for name, act := range map[string]func(m *Machine, runtime string) error{
		"down":   func(m *Machine, _ string) error { return m.Down(t.Context()) },
		"repair": func(_ *Machine, runtime string) error { _, err := Repair(t.Context(), runtime); return err },
	} {
		runtime := t.TempDir()
		dir := machineDir(runtime, "dead")
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.MkdirAll(labDir(runtime), 0o700)); err != nil {
			t.Fatal(err)
		}
		rec := full{Record: Record{Name: "dead", State: Running}, Spec: Spec{RunDir: filepath.Join(runtime, "gone")}}
		if err := rec.write(dir, func(string) error { return nil }); err != nil {
			t.Fatal(err)
		}
		left := filepath.Join(labDir(runtime), "outside.json")
		state := `{"veth": "slipwaynone", "table": "slipway-none", "forward": "1", "link": "10.64.0.1/30"}`
		if err := os.WriteFile(left, []byte(state), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := act(m, runtime); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: what the way out changed was not taken back: %v", name, err)
		}
	}
}
