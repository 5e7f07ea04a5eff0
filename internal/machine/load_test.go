package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Paths start from the folder of the file that names them, on the command
// line from the working folder.
func TestPathsStartFromTheirFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(t.TempDir())
	here, _ := filepath.Abs(".")
	write(t, filepath.Join(dir, "common/base.yaml"), "users: [{name: ops, ssh_keys: [ops.pub]}]\npackages: [./a.deb]\nrepositories: [{url: file:///r, suite: ./, signed_by: k.asc}]\n")
	main := write(t, filepath.Join(dir, "web/main.yaml"), header+"include: [../common/base.yaml]\npackages: [./a.deb]\ncontainer: {binds: [\"data:/d\"]}\nfiles: [{path: /a, secret: {file: s}}]\n")
	d, err := Load(main, Options{Set: []string{"files.1={path: /b, from: ./b}"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ got, want string }{
		{d.Users[0].SSHKeys[0], filepath.Join(dir, "common/ops.pub")},
		{d.Packages[0], filepath.Join(dir, "common/a.deb")},
		{d.Packages[1], filepath.Join(dir, "web/a.deb")},
		{d.Repositories[0].SignedBy, filepath.Join(dir, "common/k.asc")},
		{d.Container.Binds[0].Host, filepath.Join(dir, "web/data")},
		{d.Files[0].Secret.File, filepath.Join(dir, "web/s")},
		{d.Files[1].From.File, filepath.Join(here, "b")},
		{d.Include[0], filepath.Join(dir, "common/base.yaml")},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
	text, _ := d.JSONOf("users", "packages")
	if want := `{"packages":["../common/a.deb","./a.deb"],"users":[{"name":"ops","ssh_keys":["../common/ops.pub"]}]}`; string(text) != want {
		t.Errorf("canonical paths: got %s, want %s", text, want)
	}
}

func TestCheckFiles(t *testing.T) {
	d, err := define(t, header+"packages: [./gone.deb]\nusers: [{name: a, ssh_keys: [k.pub], password: {hash_file: h}}]\n")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(filepath.Dir(d.File), "k.pub"), "")
	err = d.CheckFiles(false)
	if err == nil || !strings.Contains(err.Error(), `main.yaml:4:12: packages.0 names "./gone.deb": no such file`) || strings.Contains(err.Error(), "k.pub") {
		t.Errorf("got %v", err)
	}
	if got := len(d.CheckFiles(true).(Problems)); got != 2 {
		t.Errorf("with secrets: %d problems, want 2", got)
	}
}

// What does not end, or is no file, is refused in time.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{"no such file": filepath.Join(dir, "gone"), "not a regular file": dir} {
		if _, err := Load(path, Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("loading %s: %v, want %q", path, err, name)
		}
	}
}

// Input made to exhaust memory or the stack is refused at once.
func TestBounds(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	for name, c := range map[string]struct{ text, want string }{
		"aliases":    {bomb, "aliases stand for more than"},
		"self":       {"a: &a [*a]\n", "inside its own anchor"},
		"brackets":   {"a: " + strings.Repeat("[", 100_000), "nested more than"},
		"dashes":     {strings.Repeat("- ", 100_000), "nested more than"},
		"indents":    {indented(60), "nested more than"},
		"size":       {"# " + strings.Repeat("x", maxFileSize), "more than"},
		"utf-8":      {"name: \xff\n", "main.yaml:1:7: the file is not valid UTF-8"},
		"nul":        {"name: \x00\n", "NUL"},
		"wide lists": {header + "packages: [" + strings.Repeat("a, ", 100_000) + "b]\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := define(t, c.text)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %.300v, want %q", err, c.want)
			}
		})
	}
}

func indented(depth int) string {
	var out strings.Builder
	for i := range depth {
		out.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return out.String()
}

// Many files, or files that include each other widely, end.
func TestManyIncludes(t *testing.T) {
	dir := t.TempDir()
	for i := range maxFiles + 5 {
		write(t, filepath.Join(dir, fmt.Sprintf("f%d.yaml", i)), fmt.Sprintf("include: [f%d.yaml]\n", i+1))
	}
	_, err := Load(write(t, filepath.Join(dir, "main.yaml"), header+"include: [f0.yaml]\n"), Options{})
	if err == nil || !strings.Contains(err.Error(), "files are included") {
		t.Errorf("got %v", err)
	}
}
