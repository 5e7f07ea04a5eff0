package node

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/machine"
	"slipway/internal/netboot/token"
)

// proving is a world whose version has probes: a command that holds when a file
// is there.
func proving(t *testing.T, within time.Duration) (w *world, p *prover, sign string) {
	w, _ = inRAM(t, "root")
	sign = filepath.Join(t.TempDir(), "sign")
	w.offer.Kept = json.RawMessage(`"test -e ` + sign + `"`)
	w.handler.Proof = func(ctx context.Context, c Client, version string) (*Proof, error) {
		kept, err := w.handler.Kept(ctx, c, version)
		if err != nil {
			return nil, err
		}
		var command string
		err = json.Unmarshal(kept, &command)
		return &Proof{Within: within, Probes: []machine.Probe{{Name: "sign", Command: command, Within: 20 * time.Millisecond, Every: 5 * time.Millisecond}}}, err
	}
	if got := w.start(); got != "ram root.squashfs" {
		t.Fatalf("it became %q", got)
	}
	s := w.machine.prove
	if s == nil || s.Version != "v1" || s.Server != w.program().srv.base.String() {
		t.Fatalf("what stays behind is told %+v", s)
	}
	srv := w.program().srv
	return w, &prover{key: w.key.Public().(ed25519.PublicKey), srv: srv, version: s.Version, reach: inside{"127.0.0.1"},
		settled: func(context.Context) bool { return true }, pace: 10 * time.Millisecond}, sign
}

// A version is good when its probes hold, and not before.
func TestProve(t *testing.T) {
	w, p, sign := proving(t, time.Minute)
	done := make(chan error, 1)
	go func() { done <- p.run(t.Context()) }()
	for !w.heard("probe.failed") {
		time.Sleep(5 * time.Millisecond)
	}
	if r := w.record(); r.Versions.Good != "" || r.Versions.Trying != "v1" {
		t.Errorf("before it was proven: %+v", r.Versions)
	}
	if err := os.WriteFile(sign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r := w.record(); r.Versions.Good != "v1" || r.Versions.Trying != "" {
		t.Errorf("when it was proven: %+v", r.Versions)
	}
	last := w.events[len(w.events)-1]
	if last.Kind != fleet.KindProven || last.Stage != fleet.StageProven || last.Fields[fleet.FieldVersion] != "v1" || !w.heard("probe.ok") {
		t.Errorf("the last event is %+v", last)
	}
}

func TestProveFails(t *testing.T) {
	w, p, _ := proving(t, 80*time.Millisecond)
	if err := p.run(t.Context()); err == nil || !strings.Contains(err.Error(), "did not prove itself within 80ms: sign: ") {
		t.Errorf("it ended with %v", err)
	}
	if r := w.record(); r.Versions.Good != "" || !w.heard("did not prove itself") || w.heard("version.proven") {
		t.Errorf("the record is %+v", r.Versions)
	}
	p.version = "v7"
	if err := p.run(t.Context()); err == nil || !strings.Contains(err.Error(), "was not given version v7") {
		t.Errorf("a version that it was not given: %v", err)
	}
	p.version, w.handler.Key = "v1", ed25519.NewKeyFromSeed(make([]byte, 32))
	if err := p.run(t.Context()); err == nil || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("with somebody else's probes: %v", err)
	}
}

// The token of a running system is for its proof alone.
func TestProveOnly(t *testing.T) {
	w, p, _ := proving(t, time.Minute)
	old := w.handler.Client
	w.handler.Client = func(r *http.Request, word string) (Client, error) {
		c, err := old(r, word)
		c.Only = token.OnlyTell
		return c, err
	}
	if _, err := p.ask(t.Context()); err != nil {
		t.Error(err)
	}
	for _, what := range []string{"order", "a/sha256-0"} {
		if _, err := p.srv.post(t.Context(), what, []byte("{}")); err == nil || !strings.Contains(err.Error(), "fetches nothing") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestProvable(t *testing.T) {
	all := []machine.Probe{
		{Name: "page", HTTP: &machine.HTTPProbe{URL: "http://machine/"}}, {Name: "run", Command: "true", After: "page"},
		{Name: "door", PortClosed: 22}, {Name: "late", Command: "true", After: "door"}, {Name: "login", Login: &machine.LoginProbe{User: "root"}},
		{Name: "ssh", SSH: &machine.SSHProbe{}}, {Name: "no", TCP: &machine.TCPProbe{Port: 25}, Fails: true}, {Name: "boots", Reboot: 3},
	}
	can, left := Provable(all)
	if len(can) != 2 || can[1].Name != "run" || !slices.Equal(left, []string{"door", "late", "login", "ssh", "no", "boots"}) {
		t.Errorf("it can prove %+v and leaves %v", can, left)
	}
}
