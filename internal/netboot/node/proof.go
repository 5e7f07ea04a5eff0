package node

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/machine"
	"slipway/internal/probe"
)

// Proof is what a system that was started from memory has to do to prove
// itself: its init reaches its goal, and these probes hold.
type Proof struct {
	Nonce   string          `json:"nonce"`   // of the question
	Version string          `json:"version"` // that is to prove itself
	Within  time.Duration   `json:"within"`  // it may take
	Probes  []machine.Probe `json:"probes,omitempty"`
}

// provable are the ways in that a machine has to itself.
var provable = probe.Capabilities{Target: "the machine itself", Network: true, Exec: true}

// Provable gives the probes of a definition that a machine can make itself, as
// somebody on it would; left names the others. What only the outside can tell
// (a closed port, a refused connection), what takes a secret of slipway's host
// and what switches the machine off is left to slipway test.
func Provable(all []machine.Probe) (can []machine.Probe, left []string) {
	names := map[string]bool{}
	for _, p := range all {
		if p.After != "" && !names[p.After] || !alone(&p) {
			left = append(left, probe.Name(&p))
			continue
		}
		names[p.Name], p.Pos = true, machine.Position{}
		can = append(can, p)
	}
	return can, left
}

// alone tells whether the machine can make a probe without anybody's help.
func alone(p *machine.Probe) bool {
	one := *p
	one.After = ""
	outside := p.HTTP != nil || p.TCP != nil || p.UDP != nil || p.DNS != nil || p.TLS != nil
	return len(probe.Check([]machine.Probe{one}, provable)) == 0 &&
		p.PortClosed == 0 && p.SSH == nil && !(outside && p.Fails) && (p.TLS == nil || p.TLS.CA == "")
}

// proofDomain keeps its signature from being one of an order.
const proofDomain = "slipway proof 1\x00"

// proofQuestion asks what there is to prove.
type proofQuestion struct {
	Nonce   string `json:"nonce"`
	Version string `json:"version"`
}

// proof answers what a system has to prove.
func (h *Handler) proof(ctx context.Context, w http.ResponseWriter, c Client, body []byte) error {
	q := new(proofQuestion)
	if err := json.Unmarshal(body, q); err != nil || q.Nonce == "" || q.Version == "" {
		return fmt.Errorf("%w: a question for a proof has a nonce and a version", errBody)
	}
	p, err := h.Proof(ctx, c, q.Version)
	if err != nil {
		return err
	}
	p.Nonce, p.Version = q.Nonce, q.Version
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	data, err := json.Marshal(signed{text, ed25519.Sign(h.Key, append([]byte(proofDomain), text...))})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(data)
	return err
}

// Kept gives what is kept of a version that a machine was given.
func (h *Handler) Kept(ctx context.Context, c Client, version string) (kept json.RawMessage, err error) {
	err = h.Records.Update(ctx, c.Machine, func(r *Record) error {
		v := &r.Versions
		if version != v.Good && version != v.Trying && !slices.Contains(v.Bad, version) {
			return fmt.Errorf("%w: %s was not given version %s", errBody, c.Machine, short(version))
		}
		kept = v.Kept[version]
		return nil
	})
	return kept, err
}

// verifyProof decodes the answer and checks that it is the server's.
func verifyProof(key ed25519.PublicKey, data []byte, q proofQuestion) (*Proof, error) {
	var s signed
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("reading what to prove: %w", err)
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, append([]byte(proofDomain), s.Order...), s.Signature) {
		return nil, errForged
	}
	p := new(Proof)
	if err := json.Unmarshal(s.Order, p); err != nil {
		return nil, fmt.Errorf("reading what to prove: %w", err)
	}
	if p.Nonce != q.Nonce || p.Version != q.Version {
		return nil, errors.New("the answer is one to another question")
	}
	return p, nil
}

// proven takes the evidence in, before it is confirmed.
func (r *Report) proven(rec *Record) error {
	if !rec.Prove(r.Proven) {
		return fmt.Errorf("%w: %s was not given version %s", errBody, rec.Machine, short(r.Proven))
	}
	r.Stage = fleet.StageProven
	if r.Fields == nil {
		r.Fields = map[string]string{}
	}
	r.Fields[fleet.FieldVersion] = r.Proven
	return nil
}
