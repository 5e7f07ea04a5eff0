package tools

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/distro"
	"slipway/internal/machine"
	"slipway/internal/plan"
)

// formatVersion enters every key: raise it when the same packages would make
// another tree than before.
const formatVersion = 1

// choice is what is remembered of a set.
type choice struct {
	Request string     `json:"request"` // digest of what was asked for
	Key     string     `json:"key"`
	Lock    *plan.Lock `json:"lock"`
}

// packages lists what is unpacked.
func (c *choice) packages() []plan.Package { return c.Lock.Packages }

func (s *Set) choiceName(arch string) string { return s.Name + "-" + arch }

// request identifies what a set asks for.
func (s *Set) request(arch string) string {
	return digest(formatVersion, s.system(), arch, s.Packages, s.Without)
}

func (s *Set) key(arch string, packages []plan.Package) string {
	var sums []string
	for _, p := range packages {
		sums = append(sums, p.SHA256)
	}
	return digest(formatVersion, arch, sums, dropped, s.Drop)
}

func digest(values ...any) string {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(values); err != nil {
		panic(err) // plain data cannot fail to encode
	}
	return hex.EncodeToString(h.Sum(nil))
}

// remembered is the choice made before, or nil.
func (t *Tools) remembered(s *Set) *choice {
	data := t.d.Store.ToolChoice(s.choiceName(t.d.Arch))
	c := new(choice)
	if data == nil || json.Unmarshal(data, c) != nil || c.Lock == nil || c.Request != s.request(t.d.Arch) {
		return nil
	}
	if len(c.packages()) == 0 || c.Key != s.key(t.d.Arch, c.packages()) {
		return nil
	}
	return c
}

func (s *Set) system() string {
	if s.System == "" {
		return System
	}
	return s.System
}

// definition is the machine that a set would be: exactly the packages and
// what they depend on.
func (s *Set) definition(arch string) *machine.Definition {
	return &machine.Definition{
		Slipway: "v1", Name: "tools-" + s.Name, System: s.system(), Arch: arch, Init: "none", Base: "custom",
		Packages: s.Packages, File: "slipway's own tools (" + s.Name + ")",
	}
}

// choose asks the family.
func (t *Tools) choose(ctx context.Context, s *Set) (*choice, error) {
	step := t.d.Progress.Step("choose the packages of " + s.Name)
	answer, err := t.d.Family.Choose(ctx, distro.Request{
		Definition: s.definition(t.d.Arch), Class: plan.Plain, Refresh: t.d.Refresh, Offline: t.d.Offline,
	})
	step.Done(err)
	if err != nil {
		return nil, s.explain(t, err)
	}
	for _, note := range answer.Notes {
		t.d.Progress.Note(note)
	}
	c := &choice{Request: s.request(t.d.Arch), Lock: answer.Lock}
	c.Lock.Packages = slices.DeleteFunc(c.Lock.Packages, func(p plan.Package) bool { return slices.Contains(s.Without, p.Name) })
	// The order of installation does not matter to a tree that is only unpacked.
	slices.SortFunc(c.Lock.Packages, func(a, b plan.Package) int { return strings.Compare(a.ID(), b.ID()) })
	c.Lock.Base, c.Lock.Rest, c.Lock.Steps = nil, nil, nil
	c.Key = s.key(t.d.Arch, c.packages())
	return c, nil
}

// explain adds the way out to an error of getting a set.
func (s *Set) explain(t *Tools, err error) error {
	way := "install " + strings.Join(s.Packages, ", ") + " on this host, or let slipway reach a Debian archive once"
	if t.d.Offline {
		way = "run it once without --offline"
	}
	return fmt.Errorf("getting %s (%s): %w\nhint: %s", s.Name, s.What, err, way)
}
