package run

import (
	"testing"

	"slipway/internal/e2e/kit"
)

// TestShellInATree runs programs in a tree that nothing has booted.
func TestShellInATree(t *testing.T) {
	toy := kit.NewToy(t)
	kit.NeedMachines(t)
	w := kit.NewWorld(t)
	file := kit.Write(t, w.Dir, "toy.yaml", toy.Machine("toy", ""))
	if r := w.Run("shell", "--tree", file, "sh", "-c", "echo in; echo x >/gone; exit 7"); r.Status != 7 || r.Stdout != "in\n" {
		t.Errorf("exit status %d\n%s", r.Status, r.Text())
	}
	if r := w.Run("shell", "--tree", file, "ls", "/gone"); r.Status == 0 {
		t.Error("what was written in the tree is still there")
	}
	if r := w.Run("shell", "--tree", file, "no-such-program"); r.Status != 125 && r.Status != 127 {
		t.Errorf("a missing program: exit status %d\n%s", r.Status, r.Text())
	}
}
