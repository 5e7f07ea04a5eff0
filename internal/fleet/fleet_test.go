package fleet

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestNodeFollowsItsEvents(t *testing.T) {
	f := newTest(t, NewMemory(Limits{}), time.Now)
	ctx := t.Context()
	mac := "52:54:00:00:00:01"
	f.Record(Event{Client: "52-54-00-00-00-01", Kind: KindDiscover, Fields: map[string]string{FieldVendorClass: "PXEClient:Arch:00007"}})
	n, ok := f.Node(mac)
	if !ok || n.ID != mac || n.Name != "" || n.Stage != StageFirmware || n.Boots != 1 {
		t.Fatalf("after the first packet: %+v", n)
	}
	if err := f.Update(ctx, "web", func(n *Node) error {
		n.Name, n.Clients = "web", []string{mac}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if list := f.Nodes(); len(list) != 1 || list[0].ID != "web" {
		t.Fatalf("a declared machine does not take over its address: %+v", list)
	}
	f.Record(Event{Client: mac, Kind: KindTFTPDone, Stage: StageLoader})
	if n, _ := f.Node("web"); n.Stage != StageLoader {
		t.Fatalf("stage %q", n.Stage)
	}
	f.Record(Event{Client: mac, Kind: KindNodeProblem, Problem: "no disk", Fields: map[string]string{FieldCause: "disk"}})
	if n, _ := f.Node("web"); n.Problem != "no disk" || n.Cause != "disk" {
		t.Fatalf("problem %+v", n)
	}
	f.Record(Event{Client: mac, Address: "10.0.0.7", Kind: KindAck, Stage: StageDHCP})
	if n, ok := f.At("10.0.0.7"); !ok || n.ID != "web" {
		t.Errorf("10.0.0.7 is %+v", n)
	}
	events, err := f.Events(ctx, "web", time.Time{}, 0)
	if err != nil || len(events) != 4 {
		t.Fatalf("%d events, %v: those from before it had a name belong to it", len(events), err)
	}
}

func TestGrantIsUsedOnce(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := newTest(t, NewMemory(Limits{}), func() time.Time { return now })
	ctx := t.Context()
	if _, _, err := f.Use(ctx, "web", ""); !errors.Is(err, ErrNoGrant) {
		t.Fatalf("used without a grant: %v", err)
	}
	g, err := f.Give(ctx, "web", "install", "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, first, err := f.Use(ctx, "web", "52:54:00:00:00:01"); err != nil || !first {
		t.Fatalf("first use: %v %v", first, err)
	}
	now = now.Add(48 * time.Hour) // the report got lost, and it came again
	if _, first, err := f.Use(ctx, "web", ""); err != nil || first {
		t.Fatalf("second use: first %v, %v", first, err)
	}
	if err := f.Consume(ctx, "web", "other", "report"); !errors.Is(err, ErrWrongGrant) {
		t.Fatalf("consumed by another grant's report: %v", err)
	}
	for range 2 {
		if err := f.Consume(ctx, "web", g.ID, "disk"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := f.Use(ctx, "web", ""); !errors.Is(err, ErrNoGrant) {
		t.Fatalf("used after it was consumed: %v", err)
	}
	if err := f.Revoke(ctx, "web", g.ID, "late"); err != nil {
		t.Fatal(err)
	}
	if g, _ := f.Grant(ctx, "web"); g.State != Consumed || g.Attempts != 2 || g.Evidence != "disk" {
		t.Fatalf("%+v", g)
	}
	if _, err := f.Give(ctx, "web", "install", "test", time.Hour); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if _, _, err := f.Use(ctx, "web", ""); !errors.Is(err, ErrNoGrant) {
		t.Fatalf("used after its time: %v", err)
	}
}

func newTest(t *testing.T, s Store, now func() time.Time) *Fleet {
	t.Helper()
	f, err := New(context.Background(), s, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
