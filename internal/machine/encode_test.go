package machine

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// define loads a definition given as text.
func define(t testing.TB, text string, set ...string) (*Definition, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "main.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path, Options{Set: set, HostArch: "amd64"})
}

const header = "slipway: v1\nname: web\nsystem: debian/trixie\n"

func TestYAMLLoadsAgain(t *testing.T) {
	for _, g := range goldens(t) {
		if d, err := g.load(t); err == nil {
			reload(t, d)
		}
	}
}

// A definition passes between processes as JSON of the Go types.
func TestDefinitionSurvivesEncodingJSON(t *testing.T) {
	for _, g := range goldens(t) {
		d, err := g.load(t)
		if err != nil {
			continue
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var got Definition
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		sameNumbers := cmp.FilterPath(func(p cmp.Path) bool { return strings.Contains(p.String(), "JSON") }, cmp.Ignore())
		if diff := cmp.Diff(*d, got, cmpopts.IgnoreUnexported(Definition{}), cmpopts.EquateEmpty(), sameNumbers); diff != "" {
			t.Errorf("%s (-want +got):\n%s", g.path, diff)
		}
	}
}

func TestJSONIsCanonical(t *testing.T) {
	one, err := define(t, header+"packages: [a, b]\nsysctl: {b.c: 1, a.b: 2}\nfiles: [{path: /a, from: ./x}]\n")
	if err != nil {
		t.Fatal(err)
	}
	two, err := define(t, "# other order, other folder\nfiles:\n  - from: {file: ./x}\n    path: /a\nsysctl:\n  a.b: \"2\"\n  b.c: \"1\"\n"+header+"packages:\n- a\n- b\n")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := one.JSON()
	b, _ := two.JSON()
	if !bytes.Equal(a, b) {
		t.Errorf("equal definitions differ:\n%s\n%s", a, b)
	}
	part, err := one.JSONOf("packages")
	if want := `{"packages":["a","b"]}`; err != nil || string(part) != want {
		t.Errorf("JSONOf(packages) = %s, %v, want %s", part, err, want)
	}
	for _, change := range []string{"packages: [a]", "hostname: web", "files: [{path: /a, from: ./y}]"} {
		other, err := define(t, header+change)
		if err != nil {
			t.Fatal(err)
		}
		if c, _ := other.JSON(); bytes.Equal(a, c) {
			t.Errorf("%s changes nothing", change)
		}
	}
}

func TestDefaultsAndSet(t *testing.T) {
	d, err := define(t, header+"files: [{path: /a, content: ''}, {path: /b, secret: {env: X}}, {path: /c/, from: ./c}, {path: /d, link: a}]\nprobes: [{tcp: 22}]\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, got, want string }{
		{"arch", d.Arch, "amd64"}, {"init", d.Init, "auto"}, {"restart", d.Restart, "never"}, {"base", d.Base, "minbase"},
		{"hostname", d.Hostname, ""}, {"mode", d.Files[0].Mode, "0644"}, {"secret's mode", d.Files[1].Mode, "0600"},
		{"folder's mode", d.Files[2].Mode, ""}, {"link's mode", d.Files[3].Mode, ""}, {"owner", d.Files[3].Owner, "root:root"},
		{"probe's name", d.Probes[0].Name, "tcp-22"}, {"within", d.Probes[0].Within.String(), "30s"},
		{"init system", d.InitSystem(), "systemd"}, {"family", d.Family(), "deb"}, {"release", d.Release(), "trixie"},
		{"folder", d.Files[2].From.File, filepath.Join(filepath.Dir(d.File), "c")},
	} {
		if c.got != c.want {
			t.Errorf("%s is %q, want %q", c.what, c.got, c.want)
		}
	}
	if _, set := d.Set["arch"]; set {
		t.Error("a default counts as given")
	}
	if got := d.Set["files"].Line; got != 4 {
		t.Errorf("files was given in line %d, want 4", got)
	}
	if got, want := d.At("files.1.secret.env"), d.At("files.1.path"); got.Line != 4 || got == want {
		t.Errorf("At finds %v for a nested key", got)
	}
}
