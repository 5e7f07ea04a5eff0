package node

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/machine"
	"slipway/internal/probe"
)

// prover proves that the system works that it runs in.
type prover struct {
	key     ed25519.PublicKey
	srv     *server
	version string
	reach   probe.Reach
	settled func(context.Context) bool // init has reached its goal
	pace    time.Duration              // between attempts
}

// proverLife is how long it tries to be heard.
const proverLife = 24 * time.Hour

// run proves, and tells the server. It returns when the version is proven, or
// when it cannot be.
func (p *prover) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proverLife)
	defer cancel()
	proof, err := p.ask(ctx)
	if err != nil {
		return err
	}
	tell := func(r Report) { p.srv.report(ctx, r, 3) }
	tell(Report{Stage: fleet.StageNetwork, Text: "its own system runs and has a network"})
	due, stop := context.WithTimeout(ctx, proof.Within)
	defer stop()
	for !p.settled(due) {
		if pause(due, p.pace) != nil {
			return p.fail(ctx, proof, "its init has not reached its goal")
		}
	}
	tell(Report{Stage: fleet.StageLogin, Text: "init has reached its goal"})
	failed := p.probe(due, proof.Probes, tell)
	for len(failed) > 0 {
		if pause(due, p.pace) != nil {
			return p.fail(ctx, proof, strings.Join(failed, "; "))
		}
		failed = p.probe(due, proof.Probes, tell)
	}
	return p.srv.report(ctx, Report{Proven: proof.Version, Text: fmt.Sprintf("version %s works: init has reached its goal, %d probes hold", short(proof.Version), len(proof.Probes))}, 0)
}

func (p *prover) ask(ctx context.Context) (*Proof, error) {
	q := proofQuestion{Nonce: randomID(), Version: p.version}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	var data []byte
	err = p.srv.again(ctx, "asking what to prove", 0, func() error {
		data, err = p.srv.post(ctx, "proof", body)
		return err
	})
	if err != nil {
		return nil, err
	}
	return verifyProof(p.key, data, q)
}

// probe makes all probes once, and says which do not hold and why.
func (p *prover) probe(ctx context.Context, probes []machine.Probe, tell func(Report)) (failed []string) {
	for _, r := range probe.Run(ctx, probes, p.reach, nil) {
		tell(Report{Probe: r.Name, Problem: r.Reason})
		if !r.OK {
			failed = append(failed, r.Name+": "+r.Reason)
		}
	}
	return failed
}

func (p *prover) fail(ctx context.Context, proof *Proof, why string) error {
	text := fmt.Sprintf("version %s did not prove itself within %s: %s", short(proof.Version), proof.Within, why)
	return errors.Join(errors.New(text), p.srv.report(ctx, Report{Problem: text}, 3))
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// initSettled tells whether init has reached its goal, for the inits that tell.
func initSettled(ctx context.Context) bool {
	program, _ := os.Readlink("/proc/1/exe")
	switch {
	case isDir("/run/systemd/system"), filepath.Base(program) == "systemd":
		out, _ := exec.CommandContext(ctx, "systemctl", "is-system-running").Output()
		return slices.Contains([]string{"running", "degraded"}, strings.TrimSpace(string(out)))
	case isDir("/run/openrc"):
		_, err := os.Stat("/run/openrc/rc.starting")
		level, _ := os.ReadFile("/run/openrc/softlevel")
		return errors.Is(err, os.ErrNotExist) && strings.TrimSpace(string(level)) == "default"
	}
	return true
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}
