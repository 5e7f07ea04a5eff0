package probe

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/internal/machine"
)

func sampleProof() *Proof {
	stages := []Result{{Name: "init", OK: true, Seconds: 0.25}}
	return &Proof{Machine: "web", Definition: "/d/web.yaml", Lock: "abc", Targets: []TargetReport{
		NewTarget("container", 1.5, stages, []Result{{Name: "page", OK: true, Seconds: 0.5}, {Name: "ssh", Seconds: 1, Reason: `expected <a> & b; last seen: "no"`}}),
		NewTarget("vm", 2, stages, []Result{{Name: "page", OK: true, Seconds: 0.75}}),
	}}
}

func TestOK(t *testing.T) {
	p := sampleProof()
	if p.OK() || p.Targets[0].OK || !p.Targets[1].OK || (&Proof{}).OK() {
		t.Error("a proof is good only if it has targets and all of them are")
	}
	if got := p.Targets[0].Reason; got != `probe ssh: expected <a> & b; last seen: "no"` {
		t.Errorf("got reason %q", got)
	}
}

func TestWriteJSON(t *testing.T) {
	p := sampleProof()
	p.Targets = append(p.Targets[:1:1], TargetReport{Name: "ram", Reason: "no kernel"})
	var out bytes.Buffer
	if err := WriteJSON(&out, p); err != nil {
		t.Fatal(err)
	}
	want := `{
  "machine": "web",
  "definition": "/d/web.yaml",
  "lock": "abc",
  "targets": [
    {
      "name": "container",
      "ok": false,
      "seconds": 1.5,
      "reason": "probe ssh: expected \u003ca\u003e \u0026 b; last seen: \"no\"",
      "stages": [
        {
          "name": "init",
          "ok": true,
          "seconds": 0.25,
          "reason": ""
        }
      ],
      "probes": [
        {
          "name": "page",
          "ok": true,
          "seconds": 0.5,
          "reason": ""
        },
        {
          "name": "ssh",
          "ok": false,
          "seconds": 1,
          "reason": "expected \u003ca\u003e \u0026 b; last seen: \"no\""
        }
      ]
    },
    {
      "name": "ram",
      "ok": false,
      "seconds": 0,
      "reason": "no kernel",
      "stages": [],
      "probes": []
    }
  ]
}
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestWriteJUnit(t *testing.T) {
	p := sampleProof()
	p.Targets = append(p.Targets[:1:1], TargetReport{Name: "ram", Reason: "no kernel", Seconds: 0.1})
	var out bytes.Buffer
	if err := WriteJUnit(&out, p); err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="web" tests="4" failures="2" time="1.600">
  <testsuite name="web on container" tests="3" failures="1" time="1.500">
    <testcase classname="web.container.stage" name="init" time="0.250"></testcase>
    <testcase classname="web.container.probe" name="page" time="0.500"></testcase>
    <testcase classname="web.container.probe" name="ssh" time="1.000">
      <failure message="expected &lt;a&gt; &amp; b">expected &lt;a&gt; &amp; b; last seen: &#34;no&#34;</failure>
    </testcase>
  </testsuite>
  <testsuite name="web on ram" tests="1" failures="1" time="0.100">
    <testcase classname="web.ram" name="up" time="0.100">
      <failure message="no kernel">no kernel</failure>
    </testcase>
  </testsuite>
</testsuites>
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	var back junitSuites
	if err := xml.Unmarshal(out.Bytes(), &back); err != nil {
		t.Error(err)
	}
}

func TestWriteTable(t *testing.T) {
	var out bytes.Buffer
	if err := WriteTable(&out, sampleProof()); err != nil {
		t.Fatal(err)
	}
	want := `web on container
  stage  init      ok        0.25s
  probe  page      ok        0.50s
  probe  ssh       FAILED    1.00s
         expected <a> & b; last seen: "no"
  not proved after 1.50s: 1 of 2 probes held

web on vm
  stage  init      ok        0.25s
  probe  page      ok        0.75s
  proved in 2.00s: 1 of 1 probe held
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestTableOnATerminal(t *testing.T) {
	var out bytes.Buffer
	p := &Proof{Machine: "web", Targets: []TargetReport{NewTarget("vm", 1, nil, []Result{{Name: "x", Reason: strings.Repeat("word ", 40)}})}}
	if err := writeTable(&out, p, style{color: true, width: 50}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\x1b[31mFAILED\x1b[0m") {
		t.Error("a failure is not red")
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if len(line) > 50 && !strings.Contains(line, "\x1b") {
			t.Errorf("%q is wider than the terminal", line)
		}
	}
}

func TestWriteMatrix(t *testing.T) {
	var out bytes.Buffer
	p := sampleProof()
	p.Targets = append(p.Targets, TargetReport{Name: "ram", Reason: "no kernel"})
	if err := WriteMatrix(&out, p); err != nil {
		t.Fatal(err)
	}
	want := `                 container        vm               ram            
stage  init      ok        0.25s  ok        0.25s  -              
probe  page      ok        0.50s  ok        0.75s  -              
probe  ssh       FAILED    1.00s  -                -              
total            FAILED    1.50s  ok        2.00s  FAILED    0.00s
container, ssh: expected <a> & b; last seen: "no"
ram: no kernel
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestMatrixOrder(t *testing.T) {
	p := &Proof{Targets: []TargetReport{
		{Stages: []Result{{Name: "build"}, {Name: "container"}, {Name: "agent"}, {Name: "init"}, {Name: "service"}}},
		{Stages: []Result{{Name: "build"}, {Name: "firmware"}, {Name: "kernel"}, {Name: "odd"}, {Name: "service"}}},
	}}
	stages, _ := rowNames(p)
	if got, want := strings.Join(stages, " "), "build container firmware kernel agent init service odd"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestQuotedLines(t *testing.T) {
	var b strings.Builder
	style{width: 30}.paragraph(&b, "a reason that is longer than the line is\nfirst   line\nsecond", "  ")
	want := "  a reason that is longer\n  than the line is\n    | first   line\n    | second\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestStages(t *testing.T) {
	var reported []string
	s := Stages{Report: func(r Result) { reported = append(reported, r.Name) }}
	end := s.Begin("kernel")
	end(nil)
	end(errors.New("late"))
	s.Begin("init")(errors.New("it died"))
	s.Add("firmware", 2*time.Second, nil)
	s.Begin("network")
	got := s.Results()
	want := []Result{{Name: "kernel", OK: true}, {Name: "init", Reason: "it died"}, {Name: "firmware", OK: true}, {Name: "network"}}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got[i].Name != want[i].Name || got[i].OK != want[i].OK || want[i].Reason != "" && got[i].Reason != want[i].Reason {
			t.Errorf("%d: got %+v, want %+v", i, got[i], want[i])
		}
	}
	if !strings.Contains(got[3].Reason, "not ended") || got[2].Seconds < 2 {
		t.Errorf("got %+v", got)
	}
	if fmt.Sprint(reported) != "[kernel init firmware]" {
		t.Errorf("reported %v", reported)
	}
}

func TestCheck(t *testing.T) {
	at := machine.Position{File: "m.yaml", Line: 4, Column: 5}
	probes := []machine.Probe{
		{Name: "page", HTTP: &machine.HTTPProbe{}},
		{Name: "cmd", Command: "x", Pos: at},
		{Name: "tty", Login: &machine.LoginProbe{}},
		{Name: "late", TCP: &machine.TCPProbe{}, After: "nobody"},
		{Name: "page", TCP: &machine.TCPProbe{}},
		{Name: "none"},
	}
	errs := Check(probes, Capabilities{Target: "metal", Network: true, Terminal: true})
	text := errors.Join(errs...).Error()
	for _, want := range []string{
		`m.yaml:4:5: probe "cmd": a probe of kind command needs a way to run commands inside, which target metal has not`,
		`probe "late": not tried: there is no probe "nobody"`, `probe "page": two probes have this name`, `probe "none": not tried: it has no kind`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nlacks %q", text, want)
		}
	}
	if len(errs) != 4 {
		t.Errorf("got %d errors, want 4:\n%s", len(errs), text)
	}
	all := Capabilities{Network: true, Exec: true, Terminal: true, Usage: true, Pending: true, Reboot: true}
	if errs := Check(probes[:3], all); len(errs) != 0 {
		t.Errorf("got %v", errs)
	}
}

// Every kind of probe of the definition has a line in the table.
func TestKinds(t *testing.T) {
	for _, p := range []machine.Probe{
		{HTTP: &machine.HTTPProbe{}}, {TCP: &machine.TCPProbe{}}, {UDP: &machine.TCPProbe{}}, {DNS: &machine.DNSProbe{}},
		{TLS: &machine.TLSProbe{}}, {SSH: &machine.SSHProbe{}}, {Login: &machine.LoginProbe{}}, {Command: "x"},
		{FileCheck: &machine.FileProbe{}}, {Unit: &machine.UnitProbe{}}, {Log: &machine.LogProbe{}}, {PortClosed: 1},
		{NoFailedUnits: true}, {Updates: &machine.UpdatesProbe{}}, {Limit: &machine.LimitProbe{}},
	} {
		k := kindOf(&p)
		if k == nil || k.make(&p).want() == "" && k.name != "limit" {
			t.Errorf("%+v has no kind, or one that expects nothing", p)
		}
	}
}

func TestTableSaysAReasonOnce(t *testing.T) {
	probes := []Result{{Name: "page", Reason: "expected this; last seen: that"}}
	stages := []Result{{Name: "service", Reason: "probe page: " + probes[0].Reason}, {Name: "init", Reason: "it hung"}}
	var out bytes.Buffer
	if err := WriteTable(&out, &Proof{Machine: "web", Targets: []TargetReport{NewTarget("vm", 1, stages, probes)}}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "last seen: that"); n != 1 {
		t.Errorf("the probe's reason is there %d times:\n%s", n, out.String())
	}
	if !strings.Contains(out.String(), "it hung") {
		t.Errorf("the reason of another stage is missing:\n%s", out.String())
	}
}
