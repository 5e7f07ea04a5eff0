// Package network starts machines whose network, resolver and clock are done by
// each of the programs that can be chosen for it, and has the real programs
// read what the golden files of package apply expect of them.
package network

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/e2e/kit"

	"github.com/rogpeppe/go-internal/txtar"
)

func TestMain(m *testing.M) { kit.Main(m) }

// prove runs slipway test, and wants these probes in the proof, all held.
func prove(t *testing.T, w *kit.World, file string, args []string, probes ...string) {
	t.Helper()
	report := filepath.Join(w.Dir, "proof.json")
	r := w.Run(append([]string{"test", file, "--report", report}, args...)...)
	kit.SkipUnstarted(t, r)
	if r.Status != 0 {
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	t.Logf("took %s\n%s", r.Took, r.Stdout)
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var proof struct {
		Targets []struct {
			Probes []struct {
				Name string
				OK   bool
			}
		}
	}
	if err := json.Unmarshal(data, &proof); err != nil || len(proof.Targets) != 1 {
		t.Fatalf("%v: %s", err, data)
	}
	held := map[string]bool{}
	for _, p := range proof.Targets[0].Probes {
		held[p.Name] = p.OK
	}
	for _, name := range probes {
		if !held[name] {
			t.Errorf("probe %s is not in the proof: %s", name, data)
		}
	}
}

// inside runs a script in a running machine and gives what it printed; it must
// end well.
func inside(t *testing.T, w *kit.World, name, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := w.Command(ctx, "shell", name, "sh", "-s")
	cmd.Stdin = strings.NewReader("exec 2>&1\n" + script)
	r := w.Finish(cmd)
	if r.Status != 0 {
		t.Errorf("%s\nexit status %d\n%s", script, r.Status, r.Text())
	}
	return r.Stdout
}

// goldens are the files that package apply writes for a system and a backend,
// by statement and path.
func goldens(t *testing.T, title string) map[string]map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(kit.Root(), "internal/apply/testdata/choices/*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	all := map[string]map[string]string{}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			path, ok := strings.CutPrefix(f.Name, title+": ")
			if !ok || path == "refused" {
				continue
			}
			statement := strings.TrimSuffix(filepath.Base(file), ".txtar")
			if all[statement] == nil {
				all[statement] = map[string]string{}
			}
			path, _, _ = strings.Cut(path, " ")
			all[statement][path] = string(f.Data)
		}
	}
	if len(all) < 5 {
		t.Fatalf("%s: only %d statements", title, len(all))
	}
	return all
}

// putting is a script that writes files with a mode.
func putting(files map[string]string, under, mode string) string {
	var b strings.Builder
	for path, text := range files {
		if strings.HasPrefix(path, under) {
			b.WriteString("cat > " + path + " <<'ENDOFFILE'\n" + text + "ENDOFFILE\nchmod " + mode + " " + path + "\n")
		}
	}
	return b.String()
}

// up starts a machine for the rest of the test.
func up(t *testing.T, w *kit.World, file, name string, args ...string) {
	t.Helper()
	if r := w.Run(append([]string{"up", file}, args...)...); r.Status != 0 {
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	t.Cleanup(func() { w.Run("down", name) })
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}
