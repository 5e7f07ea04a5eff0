package answer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"slipway/internal/machine"
)

var update = flag.Bool("update", false, "rewrite what the golden files expect")

// A golden file is a txtar archive: its comment says kind and facts, the first
// files are the input (machine.yaml is loaded), and those below want/ are the
// answer's files, the command lines, or the error.
type golden struct {
	path    string
	archive *txtar.Archive
	kind    Kind
	facts   Facts
	dir     string
}

func goldens(t testing.TB) []*golden {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	var out []*golden
	for _, path := range paths {
		out = append(out, readGolden(t, path))
	}
	return out
}

func (g *golden) name() string { return strings.TrimSuffix(filepath.Base(g.path), ".txtar") }

func readGolden(t testing.TB, path string) *golden {
	t.Helper()
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g := &golden{path: path, archive: a, dir: t.TempDir()}
	for _, line := range strings.Split(strings.TrimSpace(string(a.Comment)), "\n") {
		key, value, ok := strings.Cut(line, ": ")
		if !ok {
			t.Fatalf("%s: the line %q is not key: value", path, line)
		}
		g.set(t, key, value)
	}
	for _, f := range a.Files {
		if !strings.HasPrefix(f.Name, "want/") {
			if err := os.WriteFile(filepath.Join(g.dir, f.Name), f.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return g
}

func (g *golden) set(t testing.TB, key, value string) {
	switch key {
	case "kind":
		g.kind = Kind(value)
	case "base":
		g.facts.Base = value
	case "report":
		g.facts.Report = value
	case "logs":
		g.facts.Logs = value
	case "syslog":
		g.facts.Syslog = value
	case "disk":
		g.facts.Disk = value
	case "mirror":
		g.facts.Mirror = value
	case "image":
		g.facts.Image = value
	case "keyboard":
		g.facts.Keyboard = value
	case "args":
		g.facts.Args = strings.Fields(value)
	case "mac":
		mac, err := net.ParseMAC(value)
		if err != nil {
			t.Fatal(err)
		}
		g.facts.MACs = append(g.facts.MACs, mac)
	default:
		t.Fatalf("%s: unknown fact %q", g.path, key)
	}
}

// result renders the case.
func (g *golden) result(t testing.TB) (files []File, got []txtar.File) {
	t.Helper()
	d, err := machine.Load(filepath.Join(g.dir, "machine.yaml"), machine.Options{HostArch: "amd64"})
	if err != nil {
		t.Fatalf("%s: %v", g.path, err)
	}
	clean := func(err error) []byte {
		return []byte(strings.ReplaceAll(err.Error(), g.dir+"/", "") + "\n")
	}
	files, err = Render(g.kind, d, g.facts)
	if err != nil {
		return nil, []txtar.File{{Name: "want/error", Data: clean(err)}}
	}
	for _, f := range files {
		data := f.Data
		if text := readable(t, f); text != nil {
			data = text
		}
		if len(data) > 0 && !bytes.HasSuffix(data, []byte("\n")) {
			data = append(bytes.Clone(data), '\n')
		}
		got = append(got, txtar.File{Name: "want/" + f.Name, Data: data})
	}
	for _, l := range []Loader{IPXE, GRUB} {
		line, err := BootArgs(g.kind, d, g.facts, l)
		if err != nil {
			line = strings.TrimSpace(string(clean(err)))
		}
		got = append(got, txtar.File{Name: "want/cmdline-" + string(l), Data: []byte(line + "\n")})
	}
	return files, got
}

// readable shows a file that is no text.
func readable(t testing.TB, f File) []byte {
	if f.Type != "application/gzip" {
		return nil
	}
	z, err := gzip.NewReader(bytes.NewReader(f.Data))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out.Bytes()
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%c %o %s %s\n", h.Typeflag, h.Mode, h.Name, h.Linkname)
		io.Copy(&out, r)
	}
}

func TestGolden(t *testing.T) {
	t.Setenv("HASH", "$6$saltsalt$vUiu5SUmkVh0Eta1cEuWT9mOJ.bsyvdpzAtJz5e2XqS3rfLrTVQXkPCyzJaMXSEvFZfHTxRDB0pGTPcGk7zj./")
	for _, g := range goldens(t) {
		t.Run(g.name(), func(t *testing.T) {
			_, got := g.result(t)
			var want []txtar.File
			var input []txtar.File
			for _, f := range g.archive.Files {
				if strings.HasPrefix(f.Name, "want/") {
					want = append(want, f)
				} else {
					input = append(input, f)
				}
			}
			if *update {
				g.archive.Files = append(input, got...)
				if err := os.WriteFile(g.path, txtar.Format(g.archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(show(want), show(got)); diff != "" {
				t.Errorf("another answer (-want +got; -update rewrites it):\n%s", diff)
			}
		})
	}
}

func show(files []txtar.File) map[string]string {
	out := map[string]string{}
	for _, f := range files {
		out[f.Name] = string(f.Data)
	}
	return out
}
