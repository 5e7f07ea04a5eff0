package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/web"
)

func TestBootAsksARunningOrAStoppedServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	run := func(args ...string) (int, string) {
		var out bytes.Buffer
		env := &Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
		return Run(t.Context(), env, append(args, "--state", dir)), out.String()
	}
	if code, out := run("boot", "ls"); code != 1 || !strings.Contains(out, "slipway serve") {
		t.Fatalf("without records: %d %s", code, out)
	}
	f, _, done, err := openFleet(t.Context(), dir, web.Options{}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Update(t.Context(), "web", func(n *fleet.Node) error { n.Name, n.Clients = "web", []string{"52:54:00:00:00:01"}; return nil }); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-time.Hour)
	f.Record(fleet.Event{Time: then, Client: "52:54:00:00:00:01", Kind: fleet.KindDiscover, Stage: fleet.StageFirmware})
	f.Record(fleet.Event{Time: then, Client: "52:54:00:00:00:01", Kind: fleet.KindDiscover, Problem: "no address is free\x1b[2J",
		Fields: map[string]string{fleet.FieldCause: fleet.CauseExhausted}})
	if _, _, _, err := openFleet(t.Context(), dir, web.Options{}, "", nil); err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("a second server: %v", err)
	}
	check := func(when string) {
		t.Helper()
		if code, out := run("boot", "ls"); code != 0 || !strings.Contains(out, "web") || !strings.Contains(out, "stuck") {
			t.Errorf("%s: ls: %d %s", when, code, out)
		}
		code, out := run("boot", "why", "52:54:00:00:00:01")
		if code != 1 || !strings.Contains(out, "no evidence of dhcp") || !strings.Contains(out, "pool is exhausted") || !strings.Contains(out, "cure:") || strings.Contains(out, "\x1b") {
			t.Errorf("%s: why: %d %q", when, code, out)
		}
		_, out = run("boot", "why", "web", "--json")
		var a fleet.Answer
		if err := json.Unmarshal([]byte(out), &a); err != nil || a.Cause != "exhausted" {
			t.Errorf("%s: why --json: %v %s", when, err, out)
		}
		if code, out := run("boot", "why", "nobody"); code != 1 || !strings.Contains(out, "nobody") {
			t.Errorf("%s: why nobody: %d %s", when, code, out)
		}
	}
	check("running")
	if err := done(); err != nil {
		t.Fatal(err)
	}
	check("stopped")
}

func TestReinstallAsksARunningOrAStoppedServer(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) (int, string) {
		var out bytes.Buffer
		env := &Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
		return Run(t.Context(), env, append(args, "--state", dir)), out.String()
	}
	f, _, done, err := openFleet(t.Context(), dir, web.Options{}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]string{"disk": "install", "memory": "ram"} {
		if err := f.Update(t.Context(), name, func(n *fleet.Node) error { n.Name, n.Mode = name, mode; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	given := map[string]bool{}
	check := func(when string, grant func() (fleet.Grant, error)) {
		t.Helper()
		if code, out := run("reinstall", "memory"); code != 1 || !strings.Contains(out, "mode: install") {
			t.Errorf("%s: memory: %d %s", when, code, out)
		}
		if code, out := run("reinstall", "disk"); code != 0 {
			t.Fatalf("%s: %d %s", when, code, out)
		}
		g, err := grant()
		if err != nil || g.State != fleet.Granted || given[g.ID] {
			t.Errorf("%s: the grant is %+v %v", when, g, err)
		}
		given[g.ID] = true
	}
	check("running", func() (fleet.Grant, error) { return f.Grant(t.Context(), "disk") })
	if err := done(); err != nil {
		t.Fatal(err)
	}
	check("stopped", func() (fleet.Grant, error) {
		f, _, done, err := openFleet(t.Context(), dir, web.Options{}, "", nil)
		if err != nil {
			return fleet.Grant{}, err
		}
		defer done()
		return f.Grant(t.Context(), "disk")
	})
}

func TestBootPasswordMakesWhatServeReads(t *testing.T) {
	var out bytes.Buffer
	env := &Env{Stdin: strings.NewReader("correct horse\n"), Stdout: &out, Stderr: &out}
	if code := Run(t.Context(), env, []string{"boot", "password"}); code != 0 {
		t.Fatalf("%d %s", code, out.String())
	}
	if _, err := web.ParsePassword(out.String()); err != nil {
		t.Errorf("%s: %v", out.String(), err)
	}
}
