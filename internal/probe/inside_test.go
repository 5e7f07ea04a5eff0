package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/machine"
)

// host is a fake machine that really runs programs: this one.
func hostExec(env ...string) func(context.Context, ExecRequest) (ExecResult, error) {
	return func(ctx context.Context, req ExecRequest) (ExecResult, error) {
		cmd := exec.CommandContext(ctx, req.Args[0], req.Args[1:]...)
		cmd.Env = append(os.Environ(), env...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		res := ExecResult{Stdout: out.Bytes(), Stderr: errs.Bytes(), Exit: cmd.ProcessState.ExitCode()}
		if _, ok := err.(*exec.ExitError); ok {
			err = nil
		}
		return res, err
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "it's a file")
	if err := os.WriteFile(path, []byte("afloat\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("afloat\n"))
	file := func(p machine.FileProbe) machine.Probe {
		if p.Path == "" {
			p.Path = path
		}
		return machine.Probe{FileCheck: &p}
	}
	owner := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	runCases(t, &fake{exec: hostExec()}, []probeCase{
		{"there", file(machine.FileProbe{}), true, ""},
		{"not there", file(machine.FileProbe{Path: path + "x"}), false, "no such file"},
		{"absent", file(machine.FileProbe{Path: path + "x", Exists: ptr(false)}), true, ""},
		{"not absent", file(machine.FileProbe{Exists: ptr(false)}), false, "mode 640"},
		{"all", file(machine.FileProbe{Mode: "0640", Owner: owner, Contains: "flo", Content: ptr("afloat\n"), SHA256: hex.EncodeToString(sum[:])}), true, ""},
		{"mode", file(machine.FileProbe{Mode: "0644"}), false, "mode 640"},
		{"owner", file(machine.FileProbe{Owner: "4242"}), false, "owner "},
		{"group", file(machine.FileProbe{Owner: ":4242"}), false, "owner "},
		{"contains", file(machine.FileProbe{Contains: "sunk"}), false, `"afloat\n"`},
		{"content", file(machine.FileProbe{Content: ptr("afloat")}), false, `"afloat\n"`},
		{"sum", file(machine.FileProbe{SHA256: "00"}), false, "SHA-256 " + hex.EncodeToString(sum[:4])},
		{"dangling", file(machine.FileProbe{Path: filepath.Join(dir, "dangling")}), false, "exit status"},
	})
}

// canned answers every program with the same text.
func canned(text string) *fake {
	return &fake{exec: func(context.Context, ExecRequest) (ExecResult, error) {
		return ExecResult{Stdout: []byte(text)}, nil
	}}
}

func TestUnit(t *testing.T) {
	t.Parallel()
	const active = "systemd\nLoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nUnitFileState=enabled\n"
	const failed = "systemd\nLoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\n"
	for _, c := range []struct {
		name, text, state string
		ok                bool
		seen              string
	}{
		{"active", active, "", true, ""},
		{"substate", active, "running", true, ""},
		{"enabled", active, "enabled", true, ""},
		{"not inactive", active, "inactive", false, "active (running)"},
		{"failed", failed, "", false, "failed (failed), result exit-code"},
		{"absent", "systemd\nLoadState=not-found\nActiveState=inactive\n", "", false, "no such unit"},
		{"openrc", "openrc\n * status: started\n", "", true, ""},
		{"openrc stopped", "openrc\n * status: stopped\n", "", false, "stopped"},
		{"none", "none\n", "", false, "neither systemd nor OpenRC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := one(t, patient(machine.Probe{Unit: &machine.UnitProbe{Name: "x", State: c.state}, Within: 200 * time.Millisecond}, c.ok), canned(c.text))
			if got.OK != c.ok || !strings.Contains(got.Reason, c.seen) {
				t.Errorf("got %+v, want OK %v and %q", got, c.ok, c.seen)
			}
		})
	}
}

func TestNoFailedUnits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		ok         bool
		seen       string
	}{
		{"running", "systemd running\n", true, ""},
		{"degraded", "systemd degraded\nunit a.service\n  it broke\n  badly\nunit b.mount\n", false, `failed: a.service "it broke" "badly"; b.mount`},
		{"starting", "systemd starting\n", false, "still starting"},
		{"openrc", "openrc default\n", true, ""},
		{"crashed", "openrc default\nunit sshd\n", false, "failed: sshd"},
		{"none", "none\n", false, "neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := one(t, patient(machine.Probe{NoFailedUnits: true, Within: 200 * time.Millisecond}, c.ok), canned(c.text))
			if got.OK != c.ok || !strings.Contains(got.Reason, c.seen) {
				t.Errorf("got %+v, want OK %v and %q", got, c.ok, c.seen)
			}
		})
	}
}

// The scripts are tried against the shell and programs of this host.
func TestScriptsAreValid(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"stat": statScript, "unit": unitScript, "failed": failedScript, "log": logScript, "updates": updatesScript,
		"network": networkScript, "resolver": resolverScript, "clock": clockScript} {
		if out, err := exec.Command("/bin/sh", "-n", "-c", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("one\nready to sail\nlast\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	look := func(contains, absent string) machine.Probe {
		return machine.Probe{Log: &machine.LogProbe{File: path, Contains: contains, Absent: absent}}
	}
	runCases(t, &fake{exec: hostExec()}, []probeCase{
		{"contains", look("ready", ""), true, ""},
		{"contains not", look("error", ""), false, `3 lines without it, the last "last"`},
		{"absent", look("", "error"), true, ""},
		{"not absent", look("one", "sail"), false, `"ready to sail"`},
		{"no file", machine.Probe{Log: &machine.LogProbe{File: path + "x", Absent: "a"}}, false, "exit status 1"},
	})
}

func TestLimit(t *testing.T) {
	t.Parallel()
	f := &fake{usage: Usage{Memory: 100 << 20, Disk: 5 << 20, Size: 200 << 20, Uptime: 1500 * time.Millisecond}}
	runCases(t, f, []probeCase{
		{"within", machine.Probe{Limit: &machine.LimitProbe{Memory: 100 << 20, Disk: 1 << 30, Size: 1 << 30, Uptime: 2 * time.Second}}, true, ""},
		{"memory", machine.Probe{Limit: &machine.LimitProbe{Memory: 99 << 20}}, false, "at most 99M of memory; last seen: 100M of memory"},
		{"uptime", machine.Probe{Limit: &machine.LimitProbe{Uptime: time.Second}}, false, "1.5s of time to come up"},
	})
}

const bookworm = "ID=debian\nVERSION_CODENAME=bookworm\n==\n"

func TestUpdates(t *testing.T) {
	t.Parallel()
	const lines = "# deb http://x bookworm-security main\ndeb [signed-by=/a b=c] http://ftp.debian.org/debian bookworm main\n" +
		"deb http://ftp.debian.org/debian bookworm-updates main\ndeb-src http://security.debian.org/debian-security bookworm-security main\n"
	const stanzas = "Types: deb deb-src\nURIs: http://security.debian.org/debian-security\nSuites: bookworm-security\nComponents: main\n\n"
	for _, c := range []struct {
		name, text string
		pending    []string
		most       *int
		ok         bool
		seen       string
	}{
		{"both forms", bookworm + lines + "==\n" + stanzas, nil, nil, true, ""},
		{"no security", bookworm + lines + "==\n", nil, nil, false, "no source for bookworm-security"},
		{"disabled", bookworm + lines + "==\nEnabled: no\n" + stanzas, nil, nil, false, "bookworm-security"},
		{"folded", bookworm + "==\nTypes: deb\nSuites: bookworm bookworm-updates\n bookworm-security\n", nil, nil, true, ""},
		{"pending", bookworm + lines + "==\n" + stanzas, []string{"openssl", "curl"}, nil, false, "2 pending: openssl, curl"},
		{"some pending", bookworm + lines + "==\n" + stanzas, []string{"openssl"}, ptr(1), true, ""},
		{"another system", "ID=\"arch\"\n==\n==\n", nil, nil, true, ""},
		{"broken", "", nil, nil, false, "sources ended with exit status 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := canned(c.text)
			f.pending = c.pending
			got := one(t, patient(machine.Probe{Updates: &machine.UpdatesProbe{Pending: c.most}, Within: 200 * time.Millisecond}, c.ok), f)
			if got.OK != c.ok || !strings.Contains(got.Reason, c.seen) {
				t.Errorf("got %+v, want OK %v and %q", got, c.ok, c.seen)
			}
		})
	}
}

// getty is a terminal with one account: ops, password "pass" (none for guest).
func getty(context.Context) (io.ReadWriteCloser, error) {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		in := bufio.NewReader(far)
		read := func(prompt string) string {
			io.WriteString(far, prompt)
			text, _ := in.ReadString('\n')
			return strings.TrimSpace(text)
		}
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		for range 3 {
			user := read("\x1b[0;1mDebian GNU/Linux\x1b[0m web ttyS0\r\n\r\nweb login: ")
			if user != "guest" && (read(user+"\r\nPassword: ") != "pass" || user != "ops") {
				io.WriteString(far, "\r\nLogin incorrect\r\n")
				continue
			}
			read("\r\nLast login: yesterday\r\n\x1b[?2004h" + user + "@web:~$ ")
			return
		}
	}()
	return near, nil
}

func TestLogin(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(secret, []byte("pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PROBE_TEST_PW", "wrongpw")
	right, wrong := &machine.Secret{File: secret}, &machine.Secret{Env: "PROBE_TEST_PW"}
	login := func(user string, pw *machine.Secret, expect string) machine.Probe {
		return machine.Probe{Login: &machine.LoginProbe{User: user, Password: pw, Expect: expect}}
	}
	f := &fake{terminal: getty}
	for _, c := range []probeCase{
		{"right", login("ops", right, ""), true, ""},
		{"expected text", login("ops", right, "Last login"), true, ""},
		{"other text", login("ops", right, "Welcome"), false, "Last login"},
		{"no password needed", login("guest", nil, ""), true, ""},
		{"password asked", login("ops", nil, ""), false, "has none"},
		{"wrong password", login("ops", wrong, ""), false, "Login incorrect"},
		{"no secret", login("ops", &machine.Secret{Env: "PROBE_TEST_NONE"}, ""), false, "PROBE_TEST_NONE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := one(t, patient(c.p, c.ok), f)
			if got.OK != c.ok || !strings.Contains(got.Reason, c.seen) {
				t.Errorf("got %+v, want OK %v and %q", got, c.ok, c.seen)
			}
			if strings.Contains(got.Reason, "wrongpw") {
				t.Error("the reason tells the password")
			}
		})
	}
	dead := &fake{terminal: func(context.Context) (io.ReadWriteCloser, error) { near, _ := net.Pipe(); return near, nil }}
	if got := one(t, login("ops", right, ""), dead); got.OK {
		t.Error("a dead terminal held")
	}
	if got := one(t, login("ops", right, ""), &fake{}); !strings.Contains(got.Reason, "no terminal") {
		t.Errorf("got %+v", got)
	}
}
