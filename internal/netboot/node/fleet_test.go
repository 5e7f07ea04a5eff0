package node

import (
	"strings"
	"testing"

	"slipway/internal/fleet"
)

// TestInFleet installs a machine whose grant was given in the fleet.
func TestInFleet(t *testing.T) {
	w, image, target, _ := installing(t)
	f, err := fleet.New(t.Context(), fleet.NewMemory(fleet.Limits{}), fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w.handler.Records, w.handler.Sink = &InFleet{Fleet: f}, f
	g, err := f.Give(t.Context(), "node", "install", "somebody", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.start(); got != "restart" {
		t.Fatalf("it became %q", got)
	}
	holds(t, target, image)
	used, err := f.Grant(t.Context(), "node")
	if err != nil || used.ID != g.ID || used.State != fleet.Consumed || !strings.Contains(used.Evidence, "report") {
		t.Errorf("the grant is %+v: %v", used, err)
	}
	if n, ok := f.Node("node"); !ok || n.Installed != "v1" {
		t.Errorf("the machine is %+v", n)
	}
	var r Record
	if err := w.handler.Records.Update(t.Context(), "node", func(old *Record) error { r = *old; return nil }); err != nil || r.Grant.Open(t0) || r.Grant.ID != g.ID {
		t.Errorf("the record is %+v: %v", r, err)
	}
}
