package probe

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/internal/machine"
)

func listen(t *testing.T, serve func(net.Conn)) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func hang(conn net.Conn) { io.Copy(io.Discard, conn) }

// closedPort is a port on which nothing listens.
func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func alwaysExit(code int) func(context.Context, ExecRequest) (ExecResult, error) {
	return func(context.Context, ExecRequest) (ExecResult, error) { return ExecResult{Exit: code}, nil }
}

// prompt is how soon after a deadline of 300ms a run must have ended: at once,
// with room for a busy host. What hangs here would never end by itself.
const prompt = 1500 * time.Millisecond

func TestDeadlineOfHungCommand(t *testing.T) {
	for name, exec := range map[string]func(context.Context, ExecRequest) (ExecResult, error){
		"notices": func(ctx context.Context, _ ExecRequest) (ExecResult, error) {
			<-ctx.Done()
			return ExecResult{}, ctx.Err()
		},
		"deaf": func(context.Context, ExecRequest) (ExecResult, error) { select {} },
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			got := one(t, machine.Probe{Command: "sleep 1d"}, &fake{exec: exec})
			if got.OK {
				t.Error("a hung command held")
			}
			if spent := time.Since(start); spent > prompt {
				t.Errorf("a deadline of 300ms was kept after %s", spent)
			}
			if !strings.Contains(got.Reason, `"sleep 1d"`) || !strings.Contains(got.Reason, "tried once in ") {
				t.Errorf("reason %q does not say what was tried and for how long", got.Reason)
			}
		})
	}
}

func TestDeadlineOfHungServers(t *testing.T) {
	port := listen(t, hang)
	for _, p := range []machine.Probe{
		{TCP: &machine.TCPProbe{Port: port, Expect: "hello"}},
		{HTTP: &machine.HTTPProbe{URL: "http://machine:" + itoa(port) + "/"}},
	} {
		start := time.Now()
		if got := one(t, p, &fake{}); got.OK {
			t.Errorf("%s held against a hung server", got.Name)
		}
		if spent := time.Since(start); spent > prompt {
			t.Errorf("a deadline of 300ms was kept after %s", spent)
		}
	}
}

func TestRetriedUntilItHolds(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	f := &fake{exec: func(context.Context, ExecRequest) (ExecResult, error) {
		switch calls.Add(1) {
		case 1:
			return ExecResult{}, errors.New("agent is not up")
		case 2:
			return ExecResult{Exit: 1}, nil
		}
		return ExecResult{Stdout: []byte("ready\n")}, nil
	}}
	got := one(t, machine.Probe{Command: "x", Stdout: ptr("ready"), Within: 5 * time.Second}, f)
	if !got.OK || got.Reason != "" || calls.Load() != 3 {
		t.Errorf("got %+v after %d calls, want held after 3", got, calls.Load())
	}
}

func TestReasonSaysWantSeenAndHowLong(t *testing.T) {
	t.Parallel()
	f := &fake{exec: func(context.Context, ExecRequest) (ExecResult, error) {
		return ExecResult{Stdout: []byte("off\n"), Stderr: []byte("bad"), Exit: 4}, nil
	}}
	got := one(t, machine.Probe{Command: "lamp", Stdout: ptr("on")}, f)
	for _, part := range []string{
		`expected exit status 0 from "lamp" with output "on"`,
		`last seen: exit status 4, output "off\n", error output "bad"`, "tried ",
	} {
		if !strings.Contains(got.Reason, part) {
			t.Errorf("reason %q lacks %q", got.Reason, part)
		}
	}
}

func TestFails(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		p    machine.Probe
		f    *fake
		ok   bool
	}{
		{"command fails", machine.Probe{Command: "x"}, &fake{exec: alwaysExit(1)}, true},
		{"command succeeds", machine.Probe{Command: "x"}, &fake{exec: alwaysExit(0)}, false},
		{"command cannot run", machine.Probe{Command: "x"}, &fake{exec: func(context.Context, ExecRequest) (ExecResult, error) {
			return ExecResult{}, errors.New("agent is gone")
		}}, false},
		{"port closed", machine.Probe{TCP: &machine.TCPProbe{Port: closedPort(t)}}, &fake{exec: alwaysExit(0)}, true},
		{"port closed, no way in", machine.Probe{TCP: &machine.TCPProbe{Port: closedPort(t)}}, &fake{}, true},
		{"port closed, machine dead", machine.Probe{TCP: &machine.TCPProbe{Port: closedPort(t)}}, &fake{exec: func(context.Context, ExecRequest) (ExecResult, error) {
			return ExecResult{}, errors.New("agent is gone")
		}}, false},
		{"silence from a living machine", machine.Probe{TCP: &machine.TCPProbe{Port: 9}, Within: 2 * time.Second}, &fake{exec: alwaysExit(0),
			dial: func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }}, true},
		{"port open", machine.Probe{TCP: &machine.TCPProbe{Port: listen(t, hang)}}, &fake{exec: alwaysExit(0)}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.p.Fails = true
			if got := one(t, patient(c.p, c.ok), c.f); got.OK != c.ok {
				t.Errorf("got %+v, want OK %v", got, c.ok)
			}
		})
	}
}

// A probe that expects failure must not hold because nothing is up yet.
func TestFailsBeginsWhenTheMachineIsUp(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	f := &fake{exec: func(_ context.Context, req ExecRequest) (ExecResult, error) {
		switch script := req.Args[len(req.Args)-2]; {
		case strings.HasPrefix(script, "start"):
			time.Sleep(80 * time.Millisecond)
			up.Store(true)
			return ExecResult{}, nil
		case up.Load():
			return ExecResult{}, nil
		}
		return ExecResult{Exit: 1}, nil
	}}
	got := Run(t.Context(), []machine.Probe{
		quick(machine.Probe{Name: "forbidden", Command: "login", Fails: true}),
		quick(machine.Probe{Name: "up", Command: "start", Within: 3 * time.Second}),
	}, f, nil)
	if got[0].OK || !got[1].OK {
		t.Errorf("got %+v: the first must wait for the second, and then not hold", got)
	}
}

func TestAfter(t *testing.T) {
	t.Parallel()
	var first atomic.Bool
	f := &fake{exec: func(_ context.Context, req ExecRequest) (ExecResult, error) {
		switch req.Args[2] {
		case "first":
			time.Sleep(50 * time.Millisecond)
			first.Store(true)
		case "second":
			if !first.Load() {
				t.Error("the second probe ran before the first had held")
			}
		case "never":
			return ExecResult{Exit: 1}, nil
		case "orphan":
			t.Error("a probe was tried although the one before it failed")
		}
		return ExecResult{}, nil
	}}
	var reported []string
	got := Run(t.Context(), []machine.Probe{
		quick(machine.Probe{Name: "second", Command: "second", After: "first"}),
		quick(machine.Probe{Name: "first", Command: "first", Within: 3 * time.Second}),
		quick(machine.Probe{Name: "never", Command: "never"}),
		quick(machine.Probe{Name: "orphan", Command: "orphan", After: "never"}),
		quick(machine.Probe{Name: "lost", Command: "first", After: "nobody"}),
		quick(machine.Probe{Name: "egg", Command: "first", After: "hen"}),
		quick(machine.Probe{Name: "hen", Command: "first", After: "egg"}),
	}, f, func(r Result) { reported = append(reported, r.Name) })
	want := []bool{true, true, false, false, false, false, false}
	for i, r := range got {
		if r.OK != want[i] || r.OK != (r.Reason == "") {
			t.Errorf("%d: got %+v, want OK %v", i, r, want[i])
		}
	}
	if !strings.Contains(got[3].Reason, `"never"`) {
		t.Errorf("reason %q does not name the probe that failed", got[3].Reason)
	}
	if len(reported) != len(got) {
		t.Errorf("reported %v, want each once", reported)
	}
}

func TestInterruptedRunEndsSoon(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	got := Run(ctx, []machine.Probe{{Command: "x"}, {Command: "y", Fails: true}}, &fake{exec: func(context.Context, ExecRequest) (ExecResult, error) { select {} }}, nil)
	if spent := time.Since(start); spent > prompt {
		t.Errorf("an interrupted run took %s", spent)
	}
	if !strings.Contains(got[0].Reason, "interrupted") || !strings.Contains(got[1].Reason, "interrupted") {
		t.Errorf("got %+v", got)
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ship", "slipway")
		io.WriteString(w, "afloat "+r.Method+" "+r.Host)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) })
	mux.HandleFunc("/json", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"a":{"b":[1,{"c":"x"}],"d.e":true,"n":null,"f":1.5}}`)
	})
	plain := httptest.NewServer(mux)
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	at := func(s *httptest.Server, path string) string {
		return strings.Replace(s.URL, "127.0.0.1", "machine", 1) + path
	}
	cases := []struct {
		name string
		p    machine.HTTPProbe
		ok   bool
		seen string
	}{
		{"page", machine.HTTPProbe{URL: at(plain, "/"), Contains: "afloat GET machine:"}, true, ""},
		{"method", machine.HTTPProbe{URL: at(plain, "/"), Method: "post", Contains: "POST"}, true, ""},
		{"other text", machine.HTTPProbe{URL: at(plain, "/"), Contains: "sunk"}, false, `status 200 with "afloat GET`},
		{"other status", machine.HTTPProbe{URL: at(plain, "/"), Status: 404}, false, "status 200"},
		{"header", machine.HTTPProbe{URL: at(plain, "/"), Header: map[string]string{"x-ship": "slipway"}}, true, ""},
		{"other header", machine.HTTPProbe{URL: at(plain, "/"), Header: map[string]string{"X-Ship": "raft"}}, false, "header X-Ship: slipway"},
		{"redirect wanted", machine.HTTPProbe{URL: at(plain, "/moved"), Status: 302, Header: map[string]string{"Location": "/"}}, true, ""},
		{"redirect not wanted", machine.HTTPProbe{URL: at(plain, "/moved")}, false, "status 302 to /"},
		{"json", machine.HTTPProbe{URL: at(plain, "/json"), JSON: map[string]any{"a.b.0": 1, "a.b.1.c": "x", `a.d\.e`: true, "a.n": nil, "a.f": 1.5}}, true, ""},
		{"json other", machine.HTTPProbe{URL: at(plain, "/json"), JSON: map[string]any{"a.b.0": "1"}}, false, "a.b.0 = 1"},
		{"json absent", machine.HTTPProbe{URL: at(plain, "/json"), JSON: map[string]any{"a.z": 1}}, false, `no "z"`},
		{"json none", machine.HTTPProbe{URL: at(plain, "/"), JSON: map[string]any{"a": 1}}, false, "no JSON"},
		{"tls unverified", machine.HTTPProbe{URL: at(secure, "/"), Verify: ptr(false)}, true, ""},
		{"tls unknown authority", machine.HTTPProbe{URL: at(secure, "/")}, false, "unknown authority"},
		{"refused", machine.HTTPProbe{URL: "http://machine:" + itoa(closedPort(t))}, false, "last seen: connection refused"},
	}
	list := make([]probeCase, len(cases))
	for i, c := range cases {
		list[i] = probeCase{c.name, machine.Probe{HTTP: &c.p}, c.ok, c.seen}
	}
	runCases(t, &fake{}, list)
}

func TestTCP(t *testing.T) {
	t.Parallel()
	echo := listen(t, func(conn net.Conn) { io.Copy(conn, conn); conn.Close() })
	closing := listen(t, func(conn net.Conn) { io.WriteString(conn, "no"); conn.Close() })
	cases := []struct {
		name string
		p    machine.TCPProbe
		ok   bool
		seen string
	}{
		{"connect", machine.TCPProbe{Port: echo}, true, ""},
		{"echo", machine.TCPProbe{Port: echo, Send: "ahoy", Expect: "aho"}, true, ""},
		{"by host", machine.TCPProbe{Port: echo, Host: "localhost", Send: "ahoy", Expect: "aho"}, true, ""},
		{"other answer", machine.TCPProbe{Port: closing, Expect: "yes"}, false, `"no" and then the end of the connection`},
		{"refused", machine.TCPProbe{Port: closedPort(t)}, false, "last seen: connection refused"},
	}
	list := make([]probeCase, len(cases))
	for i, c := range cases {
		list[i] = probeCase{c.name, machine.Probe{TCP: &c.p}, c.ok, c.seen}
	}
	runCases(t, &fake{}, list)
}

func TestCommand(t *testing.T) {
	t.Parallel()
	f := &fake{exec: func(_ context.Context, req ExecRequest) (ExecResult, error) {
		if req.Args[0] != "/bin/sh" || req.Args[1] != "-c" || req.Timeout <= 0 {
			t.Errorf("got %+v, want a shell with a deadline", req)
		}
		return ExecResult{Stdout: []byte("a\nb\n"), Stderr: []byte("w\n"), Exit: 3}, nil
	}}
	cases := []struct {
		name string
		p    machine.Probe
		ok   bool
	}{
		{"exit", machine.Probe{Exit: ptr(3)}, true},
		{"default exit", machine.Probe{}, false},
		{"stdout", machine.Probe{Exit: ptr(3), Stdout: ptr("a\nb")}, true},
		{"stdout with newline", machine.Probe{Exit: ptr(3), Stdout: ptr("a\nb\n")}, true},
		{"stdout is whole", machine.Probe{Exit: ptr(3), Stdout: ptr("a")}, false},
		{"stdout empty", machine.Probe{Exit: ptr(3), Stdout: ptr("")}, false},
		{"stderr", machine.Probe{Exit: ptr(3), Stderr: ptr("w")}, true},
		{"stderr other", machine.Probe{Exit: ptr(3), Stderr: ptr("")}, false},
		{"contains", machine.Probe{Exit: ptr(3), Contains: "b"}, true},
		{"contains not", machine.Probe{Exit: ptr(3), Contains: "w"}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.p.Command = "x"
			c.p.Within = 100 * time.Millisecond
			if got := one(t, patient(c.p, c.ok), f); got.OK != c.ok {
				t.Errorf("got %+v, want OK %v", got, c.ok)
			}
		})
	}
}
