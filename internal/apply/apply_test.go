package apply

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/machine"
)

// fixture is a small tree and a record of what was done to it.
type fixture struct {
	t      *testing.T
	dir    string
	env    Env
	owners map[string]string
	ran    []string
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, dir: t.TempDir(), owners: map[string]string{}}
	f.env = Env{
		Init: "systemd",
		Date: 20000 * 86400,
		Chown: func(path string, uid, gid int) error {
			f.owners[path] = fmt.Sprintf("%d:%d", uid, gid)
			return nil
		},
		Run: func(_ context.Context, c machine.Command) error {
			f.ran = append(f.ran, c.Command)
			return nil
		},
	}
	f.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
	f.put("/etc/group", "root:x:0:\nsudo:x:27:\nwww-data:x:33:\nshadow:x:42:\nadm:x:4:syslog\nnogroup:x:65534:\n")
	f.put("/etc/shadow", "root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\n")
	f.put("/etc/gshadow", "root:*::\nsudo:*::\nadm:*::syslog\n")
	f.put("/bin/bash", "")
	f.put("/usr/sbin/nologin", "")
	return f
}

// put writes a file of the tree.
func (f *fixture) put(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) link(target, name string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		f.t.Fatal(err)
	}
}

// source writes a file of the host.
func (f *fixture) source(name, text string, mode os.FileMode) string {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		f.t.Fatal(err)
	}
	return path
}

func (f *fixture) apply(d machine.Definition) error {
	return Apply(f.t.Context(), f.dir, &d, f.env)
}

func (f *fixture) must(d machine.Definition) {
	f.t.Helper()
	if err := f.apply(d); err != nil {
		f.t.Fatal(err)
	}
}

// refused expects an error that contains all the parts.
func (f *fixture) refused(d machine.Definition, parts ...string) {
	f.t.Helper()
	err := f.apply(d)
	if err == nil {
		f.t.Fatalf("got no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			f.t.Errorf("got %q, want it to contain %q", err, p)
		}
	}
}

// has checks content and mode of a file.
func (f *fixture) has(name, text string, mode os.FileMode) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		f.t.Error(err)
		return
	}
	if string(data) != text {
		f.t.Errorf("%s: got\n%s\nwant\n%s", name, data, text)
	}
	f.mode(name, mode)
}

func (f *fixture) mode(name string, mode os.FileMode) {
	f.t.Helper()
	info, err := os.Lstat(filepath.Join(f.dir, name))
	if err != nil {
		f.t.Error(err)
	} else if got := info.Mode() & (os.ModePerm | os.ModeSetuid | os.ModeSetgid | os.ModeSticky); got != mode {
		f.t.Errorf("%s: got mode %s, want %s", name, got, mode)
	}
}

func (f *fixture) leads(name, target string) {
	f.t.Helper()
	if got, err := os.Readlink(filepath.Join(f.dir, name)); err != nil || got != target {
		f.t.Errorf("%s: got %q, %v; want a link to %s", name, got, err, target)
	}
}

func (f *fixture) absent(name string) {
	f.t.Helper()
	if _, err := os.Lstat(filepath.Join(f.dir, name)); err == nil {
		f.t.Errorf("%s is there", name)
	}
}

func (f *fixture) owned(name, owner string) {
	f.t.Helper()
	if f.owners[name] != owner {
		f.t.Errorf("%s: got owner %q, want %q", name, f.owners[name], owner)
	}
}

func ptr[T any](v T) *T { return &v }

func TestEmptyDefinitionChangesNothing(t *testing.T) {
	f := newFixture(t)
	before := snapshot(t, f.dir)
	f.must(machine.Definition{Name: "x"})
	if after := snapshot(t, f.dir); after != before || len(f.owners) != 0 || len(f.ran) != 0 {
		t.Errorf("an empty definition changed the tree:\n%s\n%s\n%v %v", before, after, f.owners, f.ran)
	}
}

func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprint(&b, strings.TrimPrefix(path, dir), info.Mode())
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%q", data)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSameInputSameBytes(t *testing.T) {
	one, two := newFixture(t), newFixture(t)
	d := machine.Definition{
		Hostname: "web", Sysctl: map[string]string{"b": "1", "a": "2", "c": "3"},
		Users: []machine.User{{Name: "ops", Groups: []string{"sudo"}}, {Name: "dev"}},
		Files: []machine.File{{Path: "/srv/x/y", Content: ptr("z")}},
	}
	one.must(d)
	two.must(d)
	if a, b := snapshot(t, one.dir), snapshot(t, two.dir); a != b {
		t.Errorf("two applications differ:\n%s\n%s", a, b)
	}
}

func TestRun(t *testing.T) {
	f := newFixture(t)
	f.must(machine.Definition{Run: []machine.Command{{Command: "one"}, {Command: "two"}}})
	if got := strings.Join(f.ran, " "); got != "one two" {
		t.Errorf("ran %q", got)
	}
	f.env.Run = func(context.Context, machine.Command) error { return fmt.Errorf("exit status 3") }
	f.refused(machine.Definition{Run: []machine.Command{{Command: "bad", Pos: machine.Position{File: "m.yaml", Line: 7, Column: 3}}}},
		"applying run: ", "m.yaml:7:3: ", `"bad"`, "exit status 3")
}

func TestSecrets(t *testing.T) {
	f := newFixture(t)
	hash := f.source("hash", "$6$salt$abcDEF./\n", 0o600)
	d := machine.Definition{
		Users: []machine.User{{Name: "ops", Password: &machine.Password{HashFile: hash}}},
		Files: []machine.File{{Path: "/etc/key", Secret: &machine.Secret{Env: "APPLY_TEST"}, Owner: "ops"}},
	}
	if !HasSecrets(&d) || HasSecrets(&machine.Definition{}) {
		t.Error("HasSecrets is wrong")
	}
	f.must(d)
	f.absent("/etc/key")
	t.Setenv("APPLY_TEST", "s3cret")
	if err := ApplySecrets(t.Context(), f.dir, &d, f.env); err != nil {
		t.Fatal(err)
	}
	f.has("/etc/key", "s3cret", 0o600)
	f.owned("/etc/key", "1000:1000")
	if data, _ := os.ReadFile(filepath.Join(f.dir, "etc/shadow")); !strings.Contains(string(data), "\nops:$6$salt$abcDEF./:20000:0:99999:7:::\n") {
		t.Errorf("got shadow\n%s", data)
	}
	d.Users[0].Password = &machine.Password{HashEnv: "APPLY_TEST"}
	if err := ApplySecrets(t.Context(), f.dir, &d, f.env); err == nil || !strings.Contains(err.Error(), "openssl passwd") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a plain password gave %v", err)
	}
}
