// Package cli tests the command line by scripts: one per verb, in
// testdata/script. They use a small archive of their own and need no network.
//
// Commands beside those of testscript:
//
//	define FILE NAME [MORE]   write a definition without init; MORE is a file with further keys
//	machine FILE NAME [MORE]  write a definition that can be started
//	status N PROGRAM ARGS...  run a program, which has to exit with N
//	json PATH[=VALUE]...      the last output is one JSON document with these (a.0.b)
//	events KIND...            the last output is JSON lines, with these events in this order
//	newer PACKAGE VERSION     publish a newer version of a package
package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"slipway/internal/distro/deb/archive/archivetest"
	"slipway/internal/e2e/kit"
)

func TestMain(m *testing.M) { kit.Main(m) }

type toyKey struct{}

func TestScripts(t *testing.T) {
	kit.NeedMachines(t)
	binary := kit.Binary(t)
	kit.NewToy(t) // skips here, not in each script
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			w := kit.NewWorld(t)
			env.Values[toyKey{}] = kit.NewToy(t)
			env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("SLIPWAY_STORE", w.Store)
			env.Setenv("SLIPWAY_RUNTIME", w.Runtime)
			env.Setenv("NO_COLOR", "1")
			env.Setenv("HOME", w.Dir)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"define":  func(ts *testscript.TestScript, _ bool, args []string) { write(ts, args, (*kit.Toy).Definition) },
			"machine": func(ts *testscript.TestScript, _ bool, args []string) { write(ts, args, (*kit.Toy).Machine) },
			"status":  status,
			"json":    jsonHas,
			"events":  events,
			"newer":   newer,
		},
	})
}

func write(ts *testscript.TestScript, args []string, text func(*kit.Toy, string, string) string) {
	if len(args) < 2 {
		ts.Fatalf("usage: define FILE NAME [MORE]")
	}
	more := ""
	if len(args) == 3 {
		more = ts.ReadFile(args[2])
	}
	toy := ts.Value(toyKey{}).(*kit.Toy)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text(toy, args[1], more)), 0o644))
}

func status(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%v: exit status %d, want %d", args[1:], got, want)
	}
}

func jsonHas(ts *testscript.TestScript, _ bool, args []string) {
	var doc any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &doc); err != nil {
		ts.Fatalf("the output is not one JSON document: %v", err)
	}
	for _, arg := range args {
		path, want, exact := strings.Cut(arg, "=")
		got, ok := lookup(doc, path)
		if !ok {
			ts.Fatalf("the output has no %s", path)
		}
		if text := fmt.Sprint(got); exact && text != want {
			ts.Fatalf("%s is %s, want %s", path, text, want)
		}
	}
}

func lookup(doc any, path string) (any, bool) {
	for _, step := range strings.Split(path, ".") {
		switch v := doc.(type) {
		case map[string]any:
			next, ok := v[step]
			if !ok {
				return nil, false
			}
			doc = next
		case []any:
			i, err := strconv.Atoi(step)
			if step == "" {
				continue
			}
			if err != nil || i >= len(v) {
				return nil, false
			}
			doc = v[i]
		default:
			return nil, false
		}
	}
	return doc, true
}

func events(ts *testscript.TestScript, _ bool, args []string) {
	var kinds []string
	for _, line := range strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n") {
		var e struct {
			Event string `json:"event"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Event == "" {
			ts.Fatalf("not an event: %q (%v)", line, err)
		}
		kinds = append(kinds, e.Event)
	}
	at := 0
	for _, k := range kinds {
		if at < len(args) && k == args[at] {
			at++
		}
	}
	if at < len(args) {
		ts.Fatalf("no event %s in its place among %v", args[at], kinds)
	}
}

func newer(ts *testscript.TestScript, _ bool, args []string) {
	toy := ts.Value(toyKey{}).(*kit.Toy)
	toy.Add(archivetest.Deb{Name: args[0], Version: args[1], Files: map[string]string{"/usr/share/" + args[0] + "/hello": "newer\n"}})
	toy.Date = toy.Date.Add(60e9)
	toy.Publish()
}
