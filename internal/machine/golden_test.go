package machine

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "rewrite what the golden files expect")

const ruleLine = "----------\n"

// golden is one case of testdata: a definition, or several as a txtar archive
// whose first file is loaded; lines "# set: KEY=VALUE" on top are overrides.
// Below the rule stand the problems, or the canonical JSON.
type golden struct {
	path, input, want string
	set               []string
	files             []txtar.File
}

func goldens(t testing.TB) []golden {
	paths, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	var out []golden
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		input, want, ok := strings.Cut(string(data), ruleLine)
		if !ok && !*update {
			t.Fatalf("%s has no rule", path)
		}
		g := golden{path: path, input: input, want: want}
		for _, line := range strings.Split(input, "\n") {
			if set, ok := strings.CutPrefix(line, "# set: "); ok {
				g.set = append(g.set, set)
			}
		}
		archive := txtar.Parse([]byte(input))
		g.files = archive.Files
		if len(g.files) == 0 {
			g.files = []txtar.File{{Name: "main.yaml", Data: []byte(input)}}
		}
		out = append(out, g)
	}
	return out
}

// load writes the files of a case into a folder and loads the first.
func (g golden) load(t testing.TB) (*Definition, error) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, f := range g.files {
		if err := os.WriteFile(f.Name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Load(g.files[0].Name, Options{Set: g.set, HostArch: "amd64"})
}

func (g golden) run(t *testing.T) string {
	d, err := g.load(t)
	if err != nil {
		var problems Problems
		if !errors.As(err, &problems) {
			t.Fatalf("the error is a %T, want Problems", err)
		}
		return err.Error() + "\n"
	}
	out, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Supported(); err != nil {
		out = append(out, "\n"+err.Error()...)
	}
	return string(out) + "\n"
}

func TestGolden(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range goldens(t) {
		t.Run(strings.TrimSuffix(filepath.Base(g.path), ".golden"), func(t *testing.T) {
			got := g.run(t)
			if *update {
				if err := os.WriteFile(filepath.Join(here, g.path), []byte(g.input+ruleLine+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(g.want, got); diff != "" {
				t.Errorf("loading gives (-want +got):\n%s", diff)
			}
		})
	}
}

// compiled is the generated schema as an independent validator reads it.
func compiled(t testing.TB) *jsonschema.Schema {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("definition.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("definition.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// The schema refuses a file exactly when the loader finds a structural
// problem in it.
func TestSchemaAgrees(t *testing.T) {
	schema := compiled(t)
	for _, g := range goldens(t) {
		if len(g.set) > 0 {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(g.path), ".golden"), func(t *testing.T) {
			c := newCollector()
			root := parse(c, "main.yaml", g.files[0].Data)
			if len(c.problems) > 0 || root == nil {
				t.Skip("not a YAML document that a schema could judge")
			}
			_, err := g.load(t)
			var problems Problems
			errors.As(err, &problems)
			var structural Problems
			for _, p := range problems {
				if p.structural && p.Pos.File == g.files[0].Name {
					structural = append(structural, p)
				}
			}
			refused := schema.Validate(jsonValue(root))
			if (refused != nil) != (len(structural) > 0) {
				t.Errorf("schema says: %v\nloader says: %v", refused, structural)
			}
		})
	}
}

// jsonValue is the document as a JSON reader would give it.
func jsonValue(n *node) any {
	var fix func(any) any
	fix = func(v any) any {
		switch x := v.(type) {
		case map[string]any:
			for k := range x {
				x[k] = fix(x[k])
			}
		case []any:
			for i := range x {
				x[i] = fix(x[i])
			}
		case uint64:
			return float64(x)
		case int64:
			return float64(x)
		}
		return v
	}
	return fix(n.plain())
}
