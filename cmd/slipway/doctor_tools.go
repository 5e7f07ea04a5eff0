package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"

	"slipway/internal/build"
	"slipway/internal/distro/deb"
	"slipway/internal/sandbox"
	"slipway/internal/store"
	"slipway/internal/target/qemu"
	"slipway/internal/tools"
)

// toolChecks say where each set of foreign programs comes from, and how
// machines run. Nothing is fetched for that.
func toolChecks(ctx context.Context, dir string) []sandbox.Check {
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return nil // the store's own check says why
	}
	defer s.Close()
	t := tools.Open(ctx, tools.Deps{Store: s, Family: deb.New(s)})
	var checks []sandbox.Check
	ready := false
	for _, set := range tools.Sets {
		p, err := t.Where(ctx, set.Name, false)
		c := sandbox.Check{Name: "tools: " + set.Name, OK: err == nil, Detail: placeText(p)}
		if err != nil {
			c.Detail = err.Error()
		}
		checks = append(checks, c)
		ready = ready || set.Name == "qemu" && (p.Host.Good || p.Tree != "")
	}
	if ready {
		checks = append(checks, accelCheck(ctx, t, dir))
	}
	return checks
}

// placeText says where a set comes from, in words.
func placeText(p tools.Place) string {
	switch {
	case p.Host.Good && p.Host.Version != "":
		return fmt.Sprintf("this host's %s, version %s", p.Host.Program, p.Host.Version)
	case p.Host.Good:
		return "this host's " + p.Host.Program
	case p.Tree != "":
		return fmt.Sprintf("unpacked in the store, version %s (%s)", p.Version, p.Host.Why)
	case p.Packages > 0:
		return fmt.Sprintf("will be unpacked when needed: version %s, %d packages, %s to fetch (%s)",
			p.Version, p.Packages, build.Bytes(p.Fetch), p.Host.Why)
	}
	return fmt.Sprintf("will be unpacked when needed from %s, %s to fetch (%s)", p.System, p.About, p.Host.Why)
}

// accelCheck tries a small guest, once per boot of the host.
func accelCheck(ctx context.Context, t *tools.Tools, dir string) sandbox.Check {
	c := sandbox.Check{Name: "virtual machines", OK: true, Detail: "run in KVM"}
	a, err := qemu.Accelerator(ctx, t, runtime.GOARCH, filepath.Join(dir, "notes"))
	switch {
	case err != nil:
		c.OK, c.Detail = false, err.Error()
	case a.Why != "":
		c.Detail = a.Why
	}
	if err == nil {
		c.Detail += fmt.Sprintf(" (QEMU %s)", a.Version)
	}
	return c
}
