package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A program of a session finds what one of Run finds.
func TestSessionFacts(t *testing.T) {
	root := testTree(t)
	for _, req := range []runRequest{
		{Args: []string{"probe", "facts"}},
		{Args: []string{"probe", "facts"}, UID: 65534},
		{Args: []string{"probe", "calls"}},
		{Args: []string{"probe", "sync"}, NoSync: true},
		{Args: []string{"probe", "exit", "3"}},
		{Args: []string{"probe", "abort"}},
		{Args: []string{"/bin/nothing"}},
		{Args: []string{"nothing"}},
		{Args: []string{"probe", "env"}, Env: []string{"A=b"}},
		{Args: []string{"probe", "cat"}, Stdin: "through\nit\n"},
		{Args: []string{"probe", "ls", "/dev"}},
	} {
		req.Root = root
		alone := doRun(t, req)
		req.Session, req.Times = true, 3
		os.RemoveAll(filepath.Join(root, "tmp"))
		os.Mkdir(filepath.Join(root, "tmp"), 0o777)
		os.Chmod(filepath.Join(root, "tmp"), 0o777)
		if req.Args[1:] != nil && len(req.Args) > 1 && req.Args[1] == "calls" {
			req.Times = 1 // it leaves files behind that it makes only once
		}
		got := doRun(t, req)
		alone.Took, got.Took, alone.Result.Duration, got.Result.Duration = 0, 0, 0, 0
		if settle(got.Out) != settle(alone.Out) || got.Err != alone.Err || got.Error != alone.Error || got.Exit != alone.Exit || got.Result != alone.Result {
			t.Errorf("%q in a session: %+v\nalone: %+v", req.Args, got, alone)
		}
	}
}

// settle leaves out what differs from run to run.
func settle(text string) string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "fd ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func init() {
	inWorker["session"] = func(root string, w *Worker) error {
		var s Session
		defer s.Close()
		s.Begin(Command{Root: root})
		run := func(timeout time.Duration, args ...string) (string, error) {
			var out bytes.Buffer
			_, err := s.Run(context.Background(), Command{Root: root, Args: args, Stdout: &out, Stderr: &out, Timeout: timeout})
			return out.String(), err
		}
		var report []string
		note := func(format string, args ...any) { report = append(report, fmt.Sprintf(format, args...)) }
		if out, err := run(0, "probe", "daemon", "/bin/probe"); err != nil || out != "started\n" {
			note("a background process: %q, %v", out, err)
		}
		first := s.proc
		if out, _ := run(0, "probe", "facts"); !strings.Contains(out, "processes 2\n") {
			note("the background process outlived its script:\n%s", out)
		}
		if s.proc != first || first == nil {
			note("the session was not used again")
		}
		start := time.Now()
		_, err := run(200*time.Millisecond, "probe", "sleep", "60s")
		var exit *ExitError
		if !errors.As(err, &exit) || !exit.Result.TimedOut || time.Since(start) > 5*time.Second {
			note("the time limit: %v after %s", err, time.Since(start))
		}
		if out, err := run(0, "probe", "exit", "0"); err != nil {
			note("after the time limit: %q, %v", out, err)
		}
		// Another folder in the place of a mount point.
		before := s.proc
		if err := os.Rename(filepath.Join(root, "dev"), filepath.Join(root, "old")); err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(root, "dev"), 0o755); err != nil {
			return err
		}
		if out, err := run(0, "probe", "facts"); err != nil || !strings.Contains(out, "dev null true") || s.proc == before {
			note("after /dev was replaced: %v\n%s", err, out)
		}
		// No /dev at all: Run makes it for the time.
		if err := os.RemoveAll(filepath.Join(root, "dev")); err != nil {
			return err
		}
		if out, err := run(0, "probe", "facts"); err != nil || !strings.Contains(out, "dev null true") {
			note("without /dev: %v\n%s", err, out)
		}
		return w.Emit(report)
	}
}

// Nothing of one program meets the next, and a session mends itself.
func TestSession(t *testing.T) {
	root := testTree(t)
	p, err := testHost(t).Start(t.Context(), "test:func", []string{"session", root})
	if err != nil {
		t.Fatal(err)
	}
	for e := range p.Events() {
		var report []string
		if err := json.Unmarshal(e, &report); err != nil {
			t.Fatal(err)
		}
		for _, line := range report {
			t.Error(line)
		}
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkSession(b *testing.B) {
	root := testTree(b)
	got := doRun(b, runRequest{Root: root, Args: []string{"probe", "exit", "0"}, Times: b.N, Session: true})
	b.ReportMetric(float64(got.Took.Microseconds())/float64(b.N), "µs/run")
}
