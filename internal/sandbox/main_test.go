package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "probe" {
		os.Exit(probeMain(os.Args[1:]))
	}
	Main()
	os.Exit(m.Run())
}

// runRequest is Command without what JSON cannot carry.
type runRequest struct {
	Root     string
	Args     []string
	Env      []string
	Network  bool
	Resolv   string
	RunTmpfs bool
	UID      int
	Timeout  time.Duration
	Cancel   time.Duration
	Stdin    string
	Binds    []Bind
	Times    int // repeat, for timing
	Priv     bool
	NoSync   bool
	Session  bool
}

type runAnswer struct {
	Out, Err string
	Result   Result
	Error    string
	Exit     bool // the error is an *ExitError
	Took     time.Duration
}

func init() {
	Register("test:echo", func(ctx context.Context, w *Worker) error {
		var greet string
		if err := w.Args(&greet); err != nil {
			return err
		}
		if err := w.Emit(greet); err != nil {
			return err
		}
		for {
			var s string
			if err := w.Recv(&s); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if s == "fail" {
				return errors.New("asked to fail")
			}
			if s == "panic" {
				panic("asked to panic")
			}
			if s == "exit" {
				os.Stderr.WriteString("last words\n")
				os.Exit(7)
			}
			if s == "hang" {
				<-ctx.Done()
				return nil
			}
			w.Emit("got " + s)
		}
	})
	Register("test:run", func(ctx context.Context, w *Worker) error {
		var req runRequest
		if err := w.Args(&req); err != nil {
			return err
		}
		if req.Cancel > 0 {
			var cancel func()
			ctx, cancel = context.WithTimeout(ctx, req.Cancel)
			defer cancel()
		}
		var ans runAnswer
		run := Run
		if req.Session {
			var s Session
			defer s.Close()
			run = s.Run
		}
		start := time.Now()
		for i := 0; i < max(req.Times, 1); i++ {
			var out, errs bytes.Buffer
			res, err := run(ctx, Command{Root: req.Root, Args: req.Args, Env: req.Env, Network: req.Network, Resolv: req.Resolv,
				RunTmpfs: req.RunTmpfs, UID: req.UID, GID: req.UID, Timeout: req.Timeout, Binds: req.Binds, Privileged: req.Priv, NoSync: req.NoSync,
				Stdin: strings.NewReader(req.Stdin), Stdout: &out, Stderr: &errs})
			ans = runAnswer{Out: out.String(), Err: errs.String(), Result: res}
			if err != nil {
				ans.Error = err.Error()
				var exit *ExitError
				ans.Exit = errors.As(err, &exit)
			}
		}
		ans.Took = time.Since(start)
		return w.Emit(ans)
	})
	Register("test:func", func(ctx context.Context, w *Worker) error {
		var name, dir string
		args := []*string{&name, &dir}
		var list []string
		if err := w.Args(&list); err != nil {
			return err
		}
		for i := range list {
			*args[i] = list[i]
		}
		return inWorker[name](dir, w)
	})
}

// inWorker are test bodies that need a worker's rights.
var inWorker = map[string]func(dir string, w *Worker) error{}

// testHost gives a usable host or skips with the reason.
func testHost(t testing.TB) *Host {
	t.Helper()
	h, err := Detect()
	if err != nil {
		t.Skipf("this host cannot start workers: %v", err)
	}
	return h
}

// testDir is a directory that a worker can write to and that a user's worker
// can reach: the parent's temporary folder belongs to the caller.
func testDir(t testing.TB) string {
	t.Helper()
	return t.TempDir()
}

// inside runs a body of inWorker.
func inside(t *testing.T, name, dir string) []string {
	t.Helper()
	h := testHost(t)
	p, err := h.Start(t.Context(), "test:func", []string{name, dir})
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	for e := range p.Events() {
		events = append(events, string(e))
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	return events
}
