package node

import (
	"encoding/json"
	"testing"
	"time"
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
	order, err := r.Answer(o, &Question{Nonce: "n", Hardware: &Hardware{}, Marks: marks}, t0)
	if err != nil {
		t.Fatal(err)
	}
	return order
}

// TestGrantIsUsedByEvidence goes through the life of a disk.
func TestGrantIsUsedByEvidence(t *testing.T) {
	r, o := &Record{Machine: "node"}, offer()
	if program, why := r.Start(o, t0); !program {
		t.Fatalf("a machine that nobody knows boots its disk: %s", why)
	}
	first := answer(t, r, o)
	if first.Do != DoInstall || !first.OnlyEmpty || first.Grant == "" {
		t.Fatalf("the first order is %+v", first)
	}
	again := answer(t, r, o) // the power went away in the middle
	if again.Do != DoInstall || !again.OnlyEmpty || again.Grant != first.Grant {
		t.Fatalf("the repeated order is %+v, want the same grant, for an empty disk alone", again)
	}
	// The report is lost; the machine comes back, its disk finished.
	done := Mark{Machine: "node", Grant: first.Grant, Time: t0}
	if got := answer(t, r, o, done); got.Do != DoDisk || r.Pending() {
		t.Fatalf("with the mark on the disk: %+v, grant %+v", got, r.Grant)
	}
	for range 3 { // never again by itself
		if program, why := r.Start(o, t0.Add(time.Hour)); program {
			t.Fatalf("an installed machine gets the installer: %s", why)
		}
		if got := answer(t, r, o); got.Do != DoRescue { // even with a disk that lost its mark
			t.Fatalf("without a grant: %+v", got)
		}
	}
	r.NewGrant("somebody wants it", t0)
	if program, _ := r.Start(o, t0); !program {
		t.Fatal("a granted installation does not start")
	}
	second := answer(t, r, o, done) // the old mark is no evidence of the new grant
	if second.Do != DoInstall || second.OnlyEmpty || second.Grant == first.Grant {
		t.Fatalf("the granted order is %+v", second)
	}
	if !r.use(&Mark{Machine: "node", Grant: second.Grant, Time: t0}, "the report", t0) || r.Pending() {
		t.Fatal("the report does not use the grant up")
	}
}

// TestLostStateInstallsNothing: the server's folder is gone, the disks are not.
func TestLostStateInstallsNothing(t *testing.T) {
	r, o := &Record{Machine: "node"}, offer()
	got := answer(t, r, o, Mark{Machine: "node", Grant: "of a former life", Time: t0})
	if got.Do != DoDisk || r.Grant != nil || r.Installed == nil {
		t.Fatalf("got %+v", got)
	}
	if program, _ := r.Start(o, t0); program {
		t.Error("it is not sent to its disk afterwards")
	}
	other := answer(t, &Record{Machine: "other"}, &Offer{Machine: "other", Mode: DoInstall, Artefacts: o.Artefacts}, Mark{Machine: "node", Grant: "x"})
	if other.Do != DoInstall || !other.OnlyEmpty {
		t.Errorf("with another machine's disk: %+v, want an order for an empty disk alone", other)
	}
}

// TestRecovery: the disk was wiped, and the definition allows to recover.
func TestRecovery(t *testing.T) {
	o := offer()
	r := &Record{Machine: "node", Installed: &Mark{Machine: "node", Grant: "g"}, Grant: &Grant{ID: "g", Used: &t0}}
	if program, _ := r.Start(o, t0); program {
		t.Fatal("an installed machine gets its program")
	}
	if program, _ := r.Start(o, t0.Add(time.Minute)); program {
		t.Fatal("without recover it is looked at")
	}
	o.Recover = true
	if program, why := r.Start(o, t0.Add(2*time.Minute)); !program {
		t.Fatalf("a machine that comes back from its disk at once is sent there again: %s", why)
	}
	if got := answer(t, r, o, Mark{Machine: "node", Grant: "g"}); got.Do != DoDisk {
		t.Fatalf("its disk is well: %+v", got)
	}
	if got := answer(t, r, o); got.Do != DoInstall || !got.OnlyEmpty || got.Grant == "g" {
		t.Fatalf("its disk is empty: %+v", got)
	}
	r.Grant.Used = &t0
	r.Start(o, t0.Add(3*time.Minute))
	r.Up() // it came up from the disk
	if program, _ := r.Start(o, t0.Add(4*time.Minute)); program {
		t.Error("somebody restarted a machine that works, and its disk is doubted")
	}
}
