package node

import (
	"encoding/json"
	"testing"
	"time"

	"slipway/internal/fleet"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestVersionsFallBack is v1, a broken v2, v1 again, and v3.
func TestVersionsFallBack(t *testing.T) {
	r := &Record{Machine: "node"}
	const within = 10 * time.Minute
	at := t0
	step := func(published, want string) {
		t.Helper()
		got := r.Choose(published, json.RawMessage(published), within, at)
		if got.Version != want || string(got.Kept) != want || (got.Passed != "") != (want != published) {
			t.Fatalf("%s is published at %s: got %+v, want %s; %+v", published, at, got, want, r.Versions)
		}
	}
	step("v1", "v1") // nothing else is there
	at = at.Add(time.Hour)
	step("v1", "v1") // it never proved itself, and there is still nothing else
	if r.Prove("v7") || r.Versions.Good != "" {
		t.Fatal("a version proves itself that was never handed out")
	}
	r.Prove("v1")
	step("v1", "v1")
	step("v2", "v2")
	at = at.Add(time.Minute)
	step("v2", "v2") // somebody switched it off too early
	at = at.Add(within)
	step("v2", "v1") // it had its time
	step("v2", "v1") // and gets no more
	step("v3", "v3")
	r.Prove("v3")
	step("v3", "v3")
	step("v2", "v3") // what was bad stays bad
	r.Prove("v2")    // unless it proves itself after all
	step("v2", "v2")
}

func TestPublishingAnotherForgetsTheTrial(t *testing.T) {
	r := &Record{Machine: "node", Versions: Versions{Good: "v1"}}
	r.Choose("v2", nil, time.Minute, t0)
	if got := r.Choose("v3", nil, time.Minute, t0.Add(time.Hour)); got.Version != "v3" {
		t.Errorf("got %+v, want v3: v3 has had no time yet", got)
	}
	if len(r.Versions.Bad) != 0 {
		t.Errorf("bad are %v: v2 was replaced, not found bad", r.Versions.Bad)
	}
}

func offer() *Offer {
	return &Offer{Machine: "node", Mode: DoInstall, Version: "v1", Artefacts: func(string, json.RawMessage) (*Artefacts, error) {
		return &Artefacts{Image: &Artefact{URL: "/a/x"}}, nil
	}}
}

// answer asks as a machine whose disks carry marks.
func answer(t *testing.T, r *Record, o *Offer, marks ...Mark) *Order {
	t.Helper()
	order, err := r.Answer(o, &Question{Nonce: "n", Hardware: &Hardware{}, Marks: marks}, "", t0)
	if err != nil {
		t.Fatal(err)
	}
	return order
}

// granted gives a grant as somebody does who asks for an installation.
func granted(r *Record) *fleet.Grant {
	r.Grant = fleet.NewGrant(r.Machine, fleet.WhatInstall, "somebody wants it", t0)
	return r.Grant
}

// TestGrantIsUsedByEvidence goes through the life of a disk.
func TestGrantIsUsedByEvidence(t *testing.T) {
	r, o := &Record{Machine: "node"}, offer()
	first := answer(t, r, o)
	if first.Do != DoInstall || !first.OnlyEmpty || first.Grant == "" || r.Grant.State != fleet.InUse {
		t.Fatalf("the first order is %+v, the grant %+v", first, r.Grant)
	}
	again := answer(t, r, o) // the power went away in the middle
	if again.Do != DoInstall || !again.OnlyEmpty || again.Grant != first.Grant || r.Grant.Attempts != 2 {
		t.Fatalf("the repeated order is %+v, want the same grant, for an empty disk alone; %+v", again, r.Grant)
	}
	// The report is lost; the machine comes back, its disk finished.
	done := Mark{Machine: "node", Grant: first.Grant, Time: t0}
	if got := answer(t, r, o, done); got.Do != DoDisk || r.Grant.State != fleet.Consumed {
		t.Fatalf("with the mark on the disk: %+v, grant %+v", got, r.Grant)
	}
	for range 3 { // never again by itself
		if got := answer(t, r, o); got.Do != DoRescue { // even with a disk that lost its mark
			t.Fatalf("without a grant: %+v", got)
		}
	}
	granted(r)
	second := answer(t, r, o, done) // the old mark is no evidence of the new grant
	if second.Do != DoInstall || second.OnlyEmpty || second.Grant == first.Grant {
		t.Fatalf("the granted order is %+v", second)
	}
	if !r.use(&Mark{Machine: "node", Grant: second.Grant, Time: t0}, "the report", t0) || r.Grant.Open(t0) {
		t.Fatal("the report does not use the grant up")
	}
}

// A grant that nobody used in time allows nothing, and says nothing of a disk.
func TestGrantExpires(t *testing.T) {
	r, o := &Record{Machine: "node", Installed: &Mark{Machine: "node", Grant: "g"}}, offer()
	granted(r).Expires = t0.Add(-time.Second)
	if got := answer(t, r, o); got.Do != DoRescue {
		t.Errorf("with a grant that is too old: %+v", got)
	}
	r = &Record{Machine: "node"}
	granted(r).State = fleet.Expired
	if got := answer(t, r, o); got.Do != DoInstall || !got.OnlyEmpty {
		t.Errorf("never installed, and its grant was taken back: %+v", got)
	}
}

// TestLostStateInstallsNothing: the server's folder is gone, the disks are not.
func TestLostStateInstallsNothing(t *testing.T) {
	r, o := &Record{Machine: "node"}, offer()
	got := answer(t, r, o, Mark{Machine: "node", Grant: "of a former life", Time: t0})
	if got.Do != DoDisk || r.Grant != nil || r.Installed == nil {
		t.Fatalf("got %+v", got)
	}
	other := answer(t, &Record{Machine: "other"}, &Offer{Machine: "other", Mode: DoInstall, Artefacts: o.Artefacts}, Mark{Machine: "node", Grant: "x"})
	if other.Do != DoInstall || !other.OnlyEmpty {
		t.Errorf("with another machine's disk: %+v, want an order for an empty disk alone", other)
	}
}

// TestRecovery: the disk was wiped, and the definition allows to recover.
func TestRecovery(t *testing.T) {
	o := offer()
	o.Recover = true
	r := &Record{Machine: "node", Installed: &Mark{Machine: "node", Grant: "g"}}
	granted(r).ID = "g"
	r.Grant.Consume("a report", t0)
	if got := answer(t, r, o, Mark{Machine: "node", Grant: "g"}); got.Do != DoDisk {
		t.Fatalf("its disk is well: %+v", got)
	}
	if got := answer(t, r, o); got.Do != DoInstall || !got.OnlyEmpty || got.Grant == "g" {
		t.Fatalf("its disk is empty: %+v", got)
	}
}
