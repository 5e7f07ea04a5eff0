package machine

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Whatever value a definition that uses every key has in the wrong place, the
// schema and the loader agree about it.
func TestSchemaAgreesOnWrongValues(t *testing.T) {
	schema := compiled(t)
	path := filepath.Join(t.TempDir(), "main.yaml")
	root := parse(newCollector(), path, []byte(goldenInput(t, "testdata/good_sample.golden")))
	count := 0
	judge := func(doc any, where string, wrong any) {
		count++
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = Load(path, Options{HostArch: "amd64"})
		structural := false
		var problems Problems
		errors.As(err, &problems)
		for _, p := range problems {
			structural = structural || p.structural
		}
		if refused := schema.Validate(jsonValue(parse(newCollector(), path, text))); (refused != nil) != structural {
			t.Errorf("%s = %v\nschema says: %v\nloader says: %v", where, wrong, refused, err)
		}
	}
	doc := root.plain().(map[string]any)
	mutate(doc, "", func(where string, wrong any) { judge(doc, where, wrong) })
	if count < 500 {
		t.Errorf("only %d wrong values were tried", count)
	}
}

func goldenInput(t *testing.T, path string) string {
	for _, g := range goldens(t) {
		if g.path == path {
			return g.input
		}
	}
	t.Fatalf("no golden file %s", path)
	return ""
}

// mutate puts each of a few values into each place below v, one at a time,
// and removes each key.
func mutate(v any, where string, judge func(where string, wrong any)) {
	wrong := []any{nil, true, 5, "text", "", []any{"a"}, map[string]any{"file": "a"}}
	switch x := v.(type) {
	case map[string]any:
		for key, old := range x {
			for _, w := range wrong {
				x[key] = w
				judge(join(where, key), w)
			}
			delete(x, key)
			judge(join(where, key), "removed")
			x[key] = old
			mutate(old, join(where, key), judge)
		}
	case []any:
		for i, old := range x {
			for _, w := range wrong {
				x[i] = w
				judge(join(where, "#"), w)
			}
			x[i] = old
			mutate(old, join(where, "#"), judge)
		}
	}
}
